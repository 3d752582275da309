# Part of: jackfield.executors.v1, jackfield.hooks.v1, jackfield.platforms.v1
from array import array
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from jackfield.pooling import PoolingParams
from jackfield.sampling import SamplingParams
@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    row: int
    token_ids: Sequence[int]
    num_prompt_tokens: int
    num_computed: int
    block_ids: tuple[Sequence[int], ...]
    sampling: SamplingParams
    seed: int
    end_token_ids: tuple[int, ...] = ()
    pooling: PoolingParams | None = None
    second_text: int | None = None
@dataclass(slots=True)
class BlockAppend:
    row: int
    group: int
    block_ids: Sequence[int]
@dataclass(slots=True)
class BlockReplace:
    row: int
    group: int
    index: int
    block_id: int
@dataclass(slots=True)
class BlockCopy:
    group: int
    source: int
    target: int
@dataclass(slots=True)
class Draft:
    place: int
    start: int
    token_ids: Sequence[int]
@dataclass(slots=True, kw_only=True)
class StepPlan:
    step_id: int
    removed_rows: Sequence[int] = ()
    new_rows: Sequence[NewRow] = ()
    copies: Sequence[BlockCopy] = ()
    replaced_blocks: Sequence[BlockReplace] = ()
    new_blocks: Sequence[BlockAppend] = ()
    rows: Sequence[int] = ()
    num_tokens: Sequence[int] = ()
    samples: Sequence[bool] = ()
    pools: Sequence[int] = ()
    drafts: Sequence[Draft] = ()
    awaits_late: bool = False
    sections: Mapping[str, Any] = field(default_factory=dict)
@dataclass(frozen=True, slots=True)
class TokenMasks:
    places: Sequence[int]
    bits: bytes | bytearray

    def each(self) -> Iterator[tuple[int, memoryview]]:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class LateInputs:
    masks: TokenMasks | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    token_id: int
    logprob: float
    rank: int
    top_ids: tuple[int, ...] = ()
    top_logprobs: tuple[float, ...] = ()
@dataclass(slots=True, kw_only=True)
class StepResult:
    step_id: int
    token_ids: Sequence[int]
    counts: Sequence[int] | None = None
    logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    prompt_logprobs: Mapping[int, Sequence[TokenLogprobs]] = field(default_factory=dict)
    vectors: Mapping[int, array[float]] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    max_rows: int
    max_step_tokens: int

    def intersect(self, other: StepLimits) -> StepLimits:
        ...
