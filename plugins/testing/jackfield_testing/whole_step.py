"""A plan, late inputs and a result in which every field is set, and a text with which two of them are compared."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from jackfield.pooling import PoolingParams
from jackfield.sampling import OutputKind, SamplingParams
from jackfield.step import (
    BlockAppend,
    BlockCopy,
    BlockReplace,
    Draft,
    LateInputs,
    NewRow,
    StepPlan,
    StepResult,
    TokenLogprobs,
    TokenMasks,
)


def whole_plan(step_id: int) -> StepPlan:
    """A plan in which no field has its default."""
    sampling = SamplingParams(
        n=2,
        max_tokens=7,
        min_tokens=1,
        temperature=0.5,
        top_k=3,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        logit_bias={4: 1.5},
        stop="end",
        include_stop=True,
        stop_token_ids=(6,),
        ignore_eos=True,
        seed=8,
        logprobs=2,
        prompt_logprobs=1,
        skip_special_tokens=False,
        structured={"choice": ["yes", "no"]},
        allowed_token_ids=(4, 5, 6),
        bad_words=("no",),
        logits_processors={"no_repeat_ngram": {"size": 2}},
        output_kind=OutputKind.DELTA,
        adapter="sql",
    )
    new_row = NewRow(
        row=3,
        token_ids=[1, 2, 3],
        num_prompt_tokens=2,
        num_computed=1,
        block_ids=((3,), (5, 6)),
        sampling=sampling,
        seed=2**62,
        end_token_ids=(5,),
        pooling=PoolingParams(kind="mean", normalize=False, dimensions=2),
        second_text=2,
    )
    return StepPlan(
        step_id=step_id,
        removed_rows=[1],
        new_rows=[new_row],
        copies=[BlockCopy(0, 1, 2)],
        replaced_blocks=[BlockReplace(0, 0, 1, 2)],
        new_blocks=[BlockAppend(0, 1, [4, 5])],
        rows=[0, 3],
        num_tokens=[1, 2],
        samples=[True, False],
        pools=[1],
        drafts=[Draft(0, 9, [])],
        awaits_late=True,
        sections={"adapters": {"names": ["x"], "data": b"\x00\xff"}},
    )


def whole_late() -> LateInputs:
    """Late inputs in which no field has its default."""
    masks = TokenMasks(places=[0, 5], bits=b"\x01\xff\x00\x00" + bytes(4))
    return LateInputs(masks=masks, sections={"grammar": (1, "a")})


def whole_result(
    step_id: int, token_ids: Sequence[int], sections: Mapping[str, Any] | None = None
) -> StepResult:
    """A result in which no field has its default."""
    return StepResult(
        step_id=step_id,
        token_ids=token_ids,
        counts=[1] * len(token_ids),
        logprobs={0: [TokenLogprobs(1, -0.5, 2, (7, 1), (-0.25, -0.5))]},
        prompt_logprobs={1: [TokenLogprobs(2, -0.75, 1)]},
        vectors={1: array("f", [0.5, -1.0])},
        errors={3: "told"},
        sections=sections or {"none": 0},
    )


def described(value: Any) -> str:
    """The value as text. Lists and tuples give the same text, since a sequence may arrive as either."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [f"{one.name}={described(getattr(value, one.name))}" for one in fields(value)]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, Mapping):
        pairs = sorted((described(key), described(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(described, value)) + "]"
    return repr(value)
