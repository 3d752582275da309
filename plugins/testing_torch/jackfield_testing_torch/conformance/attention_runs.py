"""Runs one step of a backend, and compares it with the right answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jackfield_testing_torch.conformance.attention_cases import AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_rows import PagedRows, Step
from jackfield_testing_torch.conformance.tolerances import check_attention
from jackfield_torch.interfaces.attention import LayerAttention


def skip_unless_claimed(claims: Claims, case: AttentionCase) -> None:
    """Skip the test with the backend's own reason if it does not claim the case."""
    if refusal := claims.refusal(case):
        pytest.skip(refusal)


def attend(claims: Claims, case: AttentionCase, **rows: Any) -> None:
    """Run the step of a case that the backend claims. `rows` are arguments of PagedRows."""
    skip_unless_claimed(claims, case)
    paged = PagedRows(case, claims, **rows)
    run(paged, paged.step())


def run(rows: PagedRows, step: Step) -> None:
    """Run a step with an object of its own."""
    rows.check(rows.run(rows.create(), step), step)


def attend_layers(rows: PagedRows, *changes: dict[str, Any]) -> None:
    """Run one step over several layers, each with changed facts and other queries."""
    attention, step = rows.create(), rows.step()
    attention.prepare(step.batch)
    for layer, changed in zip(rows.group.layers, changes, strict=True):
        facts: LayerAttention = replace(rows.facts, **changed)
        step.q_TNH = step.q_TNH.roll(1, 0)
        rows.write(step, layer)
        found = attention.attend(step.q_TNH, rows.views(layer), facts)
        check_attention(found, rows.exact(step, layer, facts), *rows.dtypes_that_count)
