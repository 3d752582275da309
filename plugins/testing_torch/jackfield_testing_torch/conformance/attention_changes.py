"""The part of the kit of attention backends on facts that change between steps and layers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.attention_cases import FEATURES, AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_rows import PagedRows
from jackfield_testing_torch.conformance.attention_runs import (
    attend,
    attend_layers,
    skip_unless_claimed,
)


class AttentionChanges(CardKit):
    """Facts of one step or layer must not be used for another."""

    def test_other_rows_of_the_same_lengths_are_other_rows(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """A plan that is kept because no length has changed would read blocks of rows that have ended."""
        paged = PagedRows(base, claims, rows=((1, 40), (1, 40), (1, 33), (1, 33)))
        attention = paged.create()
        for rows in ((0, 2), (1, 3), (0, 3), (1, 2)):
            step = paged.step(rows=rows)
            paged.check(paged.run(attention, step), step)

    def test_layers_of_a_step_may_differ_in_their_sinks(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """Each layer brings a tensor of its own."""
        case = replace(base, sinks=True)
        skip_unless_claimed(claims, case)
        rows = PagedRows(case, claims, num_layers=3)
        sinks_N = rows.facts.sinks_N
        assert sinks_N is not None
        attend_layers(rows, *({"sinks_N": sinks_N.roll(n) + n} for n in rows.group.layers))

    def test_layers_of_a_step_may_differ_in_their_soft_cap(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """A layer may also have none."""
        case = replace(base, soft_cap=0.7)
        skip_unless_claimed(claims, case)
        rows = PagedRows(case, claims, num_layers=3)
        attend_layers(rows, {"soft_cap": 0.7}, {"soft_cap": None}, {"soft_cap": 0.3})

    @pytest.mark.parametrize("feature", FEATURES)
    def test_host_lengths_may_be_upper_bounds_whatever_a_layer_adds(
        self, claims: Claims, base: AttentionCase, feature: str
    ) -> None:
        """Windows begin by the lengths on the device, too."""
        if claims.card.needs_host_lengths:
            pytest.skip("needs exact lengths on the host")
        case = replace(base, **FEATURES[feature])
        skip_unless_claimed(claims, case)
        rows = PagedRows(case, claims)
        step = rows.step(slack=9)
        attention = rows.create(max_length=9 + max(length for _, length in rows.rows))
        rows.check(rows.run(attention, step), step)

    @pytest.mark.parametrize("block_size", [1, 32])
    def test_every_declared_layout_is_read_with_other_blocks(
        self, claims: Claims, base: AttentionCase, block_size: int
    ) -> None:
        """The heads differ, too: strides must come from the given cache."""
        case = replace(base, block_size=block_size, heads=(8, 1))
        skip_unless_claimed(claims, case)
        for order in claims.card.layouts.orders:
            attend(claims.with_order(order), case)
