"""What crosses between the core and a worker: plans, late inputs, results and limits. Ints only, no tensors.

A worker keeps rows. A row is a slot for one request: its token ids, its block table of each cache group, its
sampling state and `num_computed`, the number of leading tokens whose keys and values are in the cache. A plan
carries full data for new rows and diffs for known ones. In every step a row's computed tokens catch up with its
tokens, by at most the planned number; there is no prefill phase and no decode phase. When a row has caught up it
draws, and the drawn token is appended to the row inside the worker, so that the next plan may compute it before the
host has seen it. A row with `pooling` draws nothing: the step in which it catches up gives its vector, and the row
ends.

Lengths in a plan are upper bounds. A row may bring drafts, which are guesses of the next tokens. The worker confirms
as many drafts as it would have drawn itself. The device knows this number first, the host when the step is resolved;
steps that were planned before that point count on all drafts. So a worker keeps the true lengths of its rows, and the
planned lengths only say what a step can need at most: slots in the cache, rows of a buffer.
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
    """A request that enters a row for the first time, or again after a preemption."""

    row: int  # below the worker's max_rows, free at this point of the plan
    token_ids: Sequence[int]  # prompt, then what was generated before a preemption
    num_prompt_tokens: int  # of token_ids; the rest is output, which penalties tell apart
    num_computed: int  # leading tokens that are already in the cache (a prefix hit)
    # One table for each cache group, indexed by position // block_size.
    block_ids: tuple[Sequence[int], ...]
    sampling: SamplingParams  # how its tokens are drawn
    seed: int  # of this request's random numbers; the core draws one if the user gives none
    end_token_ids: tuple[int, ...] = ()  # masked until sampling.min_tokens
    # If set, the row gives a vector and draws no tokens. All fields are filled in (PoolingParams.completed).
    pooling: PoolingParams | None = None
    second_text: int | None = None  # index in token_ids at which the second of two texts begins


@dataclass(slots=True)
class BlockAppend:
    """Blocks that are appended to one row's table in one cache group."""

    row: int  # the row whose table grows
    group: int  # index of the cache group
    block_ids: Sequence[int]  # in the order of positions


@dataclass(slots=True)
class BlockReplace:
    """One changed entry of a row's table. A shared last block, for example, is copied before a write."""

    row: int  # the row whose table changes
    group: int  # index of the cache group
    index: int  # in the row's table
    block_id: int  # the new entry


@dataclass(slots=True)
class BlockCopy:
    """A whole block of one cache group to copy, in all its layers, before this step writes."""

    group: int  # index of the cache group
    source: int  # block id
    target: int  # block id


@dataclass(slots=True)
class Draft:
    """Guesses of the next tokens of one row that samples. Sent to platforms that declare `platform.num_drafts`.

    They count only if the row holds exactly `start` tokens when the step runs. A row holds fewer if an earlier draft
    was not confirmed; then it computes its one token as if there were no draft. If they count, the row computes its
    last token and the drafts, draws after each of these positions as it always does, and appends the drawn tokens up
    to and including the first one that differs from its guess. If none differs, it appends one token more than was
    guessed. So a row draws 1 to len(token_ids) + 1 tokens, the same ones that it would have drawn without a draft.
    Keys and values behind the last confirmed token are void; a later step writes them again.
    """

    place: int  # index in the plan's `rows`
    start: int  # position of the first guess in the row's tokens
    token_ids: Sequence[int]  # the row's num_tokens is 1 + len(token_ids)


@dataclass(slots=True, kw_only=True)
class StepPlan:
    """One step. A worker applies the fields in the order in which they stand here.

    `rows`, `num_tokens` and `samples` have one entry for each row. A plan may hold some of the rows that could run,
    such as one cohort of the decoding rows, so that steps in flight do not depend on each other. `num_tokens` is
    exact for a row without a draft and an upper bound for a row with one. A plan is not changed after it was
    submitted.
    """

    step_id: int  # a running number
    removed_rows: Sequence[int] = ()  # rows whose request ended or was preempted
    new_rows: Sequence[NewRow] = ()  # they may take rows that this plan removed
    copies: Sequence[BlockCopy] = ()  # to make before anything is written
    replaced_blocks: Sequence[BlockReplace] = ()  # of known rows
    new_blocks: Sequence[BlockAppend] = ()  # of known rows
    rows: Sequence[int] = ()  # rows that compute in this step
    num_tokens: Sequence[int] = ()  # tokens to compute, for each of `rows`; at least 1
    samples: Sequence[bool] = ()  # True if the row has caught up and draws a token
    pools: Sequence[int] = ()  # indices in `rows` of the rows that have caught up and give a vector
    drafts: Sequence[Draft] = ()  # for some of the rows that sample, at most one a row
    awaits_late: bool = False  # True: `sample(step_id, late)` must follow before tokens are drawn
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True)
class TokenMasks:
    """Which tokens may be drawn: one packed buffer a step. Rows of the plan without a mask draw from all tokens.

    Each mask has `ceil(vocab / 32)` words of 32 bits, little-endian: bit `i % 32` of word `i // 32` is set if token i
    is allowed. The bits are not changed after they were sent.
    """

    places: Sequence[int]  # for each mask, the index of its row in the plan's `rows`, increasing
    # The masks, one after the other. A row with a draft has 1 + len(draft.token_ids) consecutive masks, one for each
    # position at which it may draw; any other row has one.
    bits: bytes | bytearray

    def each(self) -> Iterator[tuple[int, memoryview]]:
        """Every mask with the index of its row."""
        bits, stride = memoryview(self.bits), len(self.bits) // max(1, len(self.places))
        for index, place in enumerate(self.places):
            yield place, bits[index * stride : (index + 1) * stride]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInputs:
    """What may arrive after the forward pass began: grammar masks, or the bias of stateful processors."""

    masks: TokenMasks | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log probabilities at one position: of the token at that position, and of the most likely tokens."""

    token_id: int  # the token at this position
    logprob: float  # natural logarithm
    rank: int  # 1 is the most likely
    top_ids: tuple[int, ...] = ()  # the most likely first
    top_logprobs: tuple[float, ...] = ()  # in the order of top_ids


@dataclass(slots=True, kw_only=True)
class StepResult:
    """What a step drew. Keys of the mappings are indices in the plan's `rows`."""

    step_id: int  # of the plan
    # Tokens of the rows with samples=True, in the order of the rows; the tokens of one row stand together.
    token_ids: Sequence[int]
    # Number of tokens of each sampling row: 1, or up to 1 + len(draft.token_ids) if it had a draft. None: one each.
    counts: Sequence[int] | None = None
    # Log probabilities of all drawn tokens, for rows whose request asked for them.
    logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    # Log probabilities of the prompt tokens computed in this step, each given the tokens before it.
    prompt_logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    # Vectors of the rows in the plan's `pools`; float32.
    vectors: Mapping[int, array[float]] = field(default_factory=dict)
    # Errors of single rows. The request of such a row ends, and its tokens are void.
    errors: Mapping[int, str] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)  # per plugin, opaque to the core


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """What a worker can take in one step. The scheduler obeys it."""

    max_rows: int  # rows that exist at once
    max_step_tokens: int  # of all rows of a step together

    def intersect(self, other: StepLimits) -> StepLimits:
        """Limits that satisfy both."""
        return StepLimits(
            max_rows=min(self.max_rows, other.max_rows),
            max_step_tokens=min(self.max_step_tokens, other.max_step_tokens),
        )
