"""What crosses between the core and a worker: plans, late inputs, results and limits. Ints only, no tensors.

A worker keeps rows. A row is a slot for one request: its token ids, its block table of each cache group, its
sampling state and `num_computed`, the number of leading tokens whose keys and values are in the cache. A plan
carries full data for new rows and diffs for known ones. In every step a row's computed tokens catch up with its
tokens, by at most the planned number; there is no prefill phase and no decode phase. When a row has caught up it
samples: what it draws is appended to the row inside the worker, so that the next plan may compute it before the
host has seen it. A row with `pooling` draws nothing: the step in which it catches up gives its vector, and it ends.

Lengths in a plan are upper bounds. A row may bring drafts, guesses of the tokens that come next, of which the worker
confirms as many as it would have drawn itself. How many these were is known on the device first, and to the host when
the step is resolved; steps that were planned before that count on all of them. So a worker keeps the true lengths of
its rows, and the planned ones only say what a step can need at most: slots in the cache, rows of a buffer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jackfield.pooling import PoolingParams
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
    pooling: PoolingParams | None = None  # a vector is wanted, completed; it draws no tokens
    second_text: int | None = None  # where the second of two texts begins in token_ids


@dataclass(slots=True)
class BlockAppend:
    """Blocks appended to the table of one row in one cache group."""

    row: int  # whose table grows
    group: int  # index of the cache group
    block_ids: Sequence[int]  # in the order of positions


@dataclass(slots=True)
class BlockReplace:
    """One entry of a row's table changes (a shared tail was copied before a write)."""

    row: int  # whose table changes
    group: int  # index of the cache group
    index: int  # in the row's table
    block_id: int  # the new entry


@dataclass(slots=True)
class BlockCopy:
    """Copy a whole block of one cache group, in all its layers, before this step writes."""

    group: int  # index of the cache group
    source: int  # block id
    target: int  # block id


@dataclass(slots=True)
class Draft:
    """Guesses of the next tokens of one row that samples. Sent to platforms that declare `platform.num_drafts`.

    They count only if the row holds exactly `start` tokens when the step runs; a row that holds fewer, since an
    earlier draft was not confirmed, computes its one token as if there were no draft. If they count, the row computes
    its last token and the drafts, draws after each of these positions as it always does, and appends what it drew up
    to and including the first token that differs from its guess; if none differs, one token more than was guessed.
    So a row draws 1 to len(token_ids) + 1 tokens, the same ones that it would have drawn without a draft. Keys and
    values behind the last confirmed token are void; a later step writes them again.
    """

    place: int  # in the plan's `rows`
    start: int  # position of the first guess in the row's tokens
    token_ids: Sequence[int]  # num_tokens of the row is 1 + their number


@dataclass(slots=True, kw_only=True)
class StepPlan:
    """One step. A worker applies the fields in the order in which they stand here.

    `rows`, `num_tokens` and `samples` run in parallel. A plan may hold some of the rows that could run, such as one
    cohort of those that decode, so that steps in flight do not depend on each other. `num_tokens` is exact for a row
    without a draft and an upper bound for one with a draft. A plan is not changed once it was submitted.
    """

    step_id: int  # a running number
    removed_rows: Sequence[int] = ()  # rows whose request ended or was preempted
    new_rows: Sequence[NewRow] = ()  # they may take rows that this plan removed
    copies: Sequence[BlockCopy] = ()  # before anything is written
    replaced_blocks: Sequence[BlockReplace] = ()  # of known rows
    new_blocks: Sequence[BlockAppend] = ()  # of known rows
    rows: Sequence[int] = ()  # that compute in this step
    num_tokens: Sequence[int] = ()  # tokens to compute, for each of `rows`; at least 1
    samples: Sequence[bool] = ()  # True if the row has caught up and draws
    pools: Sequence[int] = ()  # places in `rows` of those that have caught up and give a vector
    drafts: Sequence[Draft] = ()  # of some of the rows that sample, at most one a row
    awaits_late: bool = False  # True: `sample(step_id, late)` must follow before tokens are drawn
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True)
class TokenMasks:
    """Which tokens may be drawn: one packed buffer a step. Rows of the plan that are not named draw from all.

    Each mask has `ceil(vocab / 32)` words of 32 bits, little-endian: bit `i % 32` of word `i // 32` is set if token i
    is allowed. The bits are not changed once they were sent.
    """

    places: Sequence[int]  # of each mask, the place of its row in the plan's `rows`, increasing
    # The masks one after the other. A row with a draft has 1 + len(draft.token_ids) of them in a row, one for each
    # position that it may draw at; any other row has one.
    bits: bytes | bytearray

    def each(self) -> Iterator[tuple[int, memoryview]]:
        """Every mask with the place of its row."""
        bits, stride = memoryview(self.bits), len(self.bits) // max(1, len(self.places))
        for index, place in enumerate(self.places):
            yield place, bits[index * stride : (index + 1) * stride]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInputs:
    """What may arrive after the forward pass began: grammar masks, bias of stateful processors."""

    masks: TokenMasks | None = None
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
    """What a step drew. Keys of the mappings are places in the plan's `rows`."""

    step_id: int  # of the plan
    token_ids: Sequence[
        int
    ]  # of the rows with samples=True, in their order, those of a row together
    # Tokens of each sampling row: 1, or up to 1 + len(draft.token_ids) if it had a draft. None: one each.
    counts: Sequence[int] | None = None
    # of all drawn tokens, where asked for
    logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    # of prompt tokens computed in this step, each given those before it
    prompt_logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    # float32, of the rows in `pools`
    vectors: Mapping[int, array[float]] = field(default_factory=dict)
    errors: Mapping[int, str] = field(
        default_factory=dict
    )  # that request ends; its tokens are void
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
