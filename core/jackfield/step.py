"""What crosses between the core and a worker: plans, late inputs, results and limits. Ints only, no tensors.

A worker keeps rows. A row is a slot for one request: its token ids, its block table of each cache group, its
sampling state and `num_computed`, the number of leading tokens whose keys and values are in the cache. A plan
carries full data for new rows and diffs for known ones. In every step a row's computed tokens catch up with its
tokens, by at most the planned number; there is no prefill phase and no decode phase. When a row has caught up it
samples: the drawn token is appended to the row inside the worker, so that the next plan may compute it before the
host has seen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jackfield.sampling import SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A request that enters a row: for the first time, or again after a preemption."""

    row: int  # a number below the worker's max_rows, free at this point of the plan
    token_ids: Sequence[int]  # prompt, then what was generated before a preemption
    num_prompt_tokens: int  # of token_ids; the rest is output (penalties tell them apart)
    num_computed: int  # leading tokens that are in the cache already (a prefix hit)
    block_ids: tuple[
        Sequence[int], ...
    ]  # one table a cache group, indexed by position // block_size
    sampling: SamplingParams  # how its tokens are drawn
    seed: int  # of this request's random numbers; drawn by the core where the user gave none
    end_token_ids: tuple[int, ...] = ()  # masked until sampling.min_tokens


@dataclass(frozen=True, slots=True)
class BlockAppend:
    """Blocks appended to the table of one row in one cache group."""

    row: int  # whose table grows
    group: int  # index of the cache group
    block_ids: Sequence[int]  # in the order of positions


@dataclass(frozen=True, slots=True)
class BlockReplace:
    """One entry of a row's table changes (a shared tail was copied before a write)."""

    row: int  # whose table changes
    group: int  # index of the cache group
    index: int  # in the row's table
    block_id: int  # the new entry


@dataclass(frozen=True, slots=True)
class BlockCopy:
    """Copy a whole block of one cache group, in all its layers, before this step writes."""

    group: int  # index of the cache group
    source: int  # block id
    target: int  # block id


@dataclass(slots=True, kw_only=True)
class StepPlan:
    """One step. A worker applies the fields in the order in which they stand here.

    `rows`, `num_tokens` and `samples` run in parallel. `num_tokens` are upper bounds: with speculation the true
    lengths are known on the device alone. A plan is not changed once it was submitted.
    """

    step_id: int  # a running number
    removed_rows: Sequence[int] = ()  # rows whose request ended or was preempted
    new_rows: Sequence[NewRow] = ()  # they may take rows that this plan removed
    copies: Sequence[BlockCopy] = ()  # before anything is written
    replaced_blocks: Sequence[BlockReplace] = ()  # of known rows
    new_blocks: Sequence[BlockAppend] = ()  # of known rows
    rows: Sequence[int] = ()  # that compute in this step
    num_tokens: Sequence[int] = ()  # tokens to compute, for each of `rows`; at least 1
    samples: Sequence[bool] = ()  # True where the row has caught up and draws a token
    awaits_late: bool = False  # True: `sample(step_id, late)` must follow before tokens are drawn
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInputs:
    """What may arrive after the forward pass began: grammar masks, bias of stateful processors.

    `masks` maps a position in `plan.rows` to a bit mask over the vocabulary (bit set: allowed; little-endian
    bits, `ceil(vocab / 8)` bytes).
    """

    masks: Mapping[int, bytes] = field(default_factory=dict)  # by position in plan.rows
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log probabilities at one position: of the token that stands there, and of the most likely ones."""

    token_id: int  # that stands there
    logprob: float  # natural logarithm
    rank: int  # 1 is the most likely
    top_ids: tuple[int, ...] = ()  # the most likely first
    top_logprobs: tuple[float, ...] = ()  # of top_ids, in their order


@dataclass(slots=True, kw_only=True)
class StepResult:
    """What a step drew. Keys of the mappings are positions in the plan's `rows`."""

    step_id: int  # of the plan
    token_ids: Sequence[int]  # of the rows with samples=True, in their order
    counts: Sequence[int] | None = None  # tokens a sampling row; None: one each
    # of drawn tokens, where asked for
    logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    # of prompt tokens computed in this step, each given those before it
    prompt_logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)  # that request ends; its token is void
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """What a worker can take in one step. The scheduler obeys `max_rows` and `max_step_tokens`.

    Buckets are shapes that a worker has ready, such as captured graphs. They are told, and bind nobody: any step
    within the limits may come, and the worker pads it or computes it without.
    """

    max_rows: int  # rows that exist at once
    max_step_tokens: int  # over all rows of a step
    row_buckets: tuple[int, ...] = ()  # shapes that are ready; empty: any
    token_buckets: tuple[int, ...] = ()  # likewise

    def intersect(self, other: StepLimits) -> StepLimits:
        """Limits that both keep; buckets must agree or be absent on one side."""
        return StepLimits(
            max_rows=min(self.max_rows, other.max_rows),
            max_step_tokens=min(self.max_step_tokens, other.max_step_tokens),
            row_buckets=self.row_buckets or other.row_buckets,
            token_buckets=self.token_buckets or other.token_buckets,
        )
