# Part of: jackfield.hooks.v1
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from jackfield.grammar import Grammar
from jackfield.pooling import PoolingParams
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs
class FinishReason(StrEnum):
    STOP = 'stop'
    LENGTH = 'length'
    ABORT = 'abort'
    ERROR = 'error'
@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    salt: str = ''
    adapter: str = ''
    media: tuple[str, ...] = ()
    is_scaled: bool = False
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    request_id: str
    prompt_token_ids: Sequence[int]
    sampling: SamplingParams
    grammar: Grammar | None = None
    pooling: PoolingParams | None = None
    second_text: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    priority: int = 0
    prefix_key: PrefixKey = field(default_factory=PrefixKey)
    trace_parent: str | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetrics:
    arrived_s: float
    admitted_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    num_cached_tokens: int = 0
    num_preemptions: int = 0
@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    delta: str = ''
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    logprobs: Sequence[TokenLogprobs] | None = None
    error: str | None = None
    score: float | None = None
    vector: Sequence[float] | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: Sequence[int]
    outputs: Sequence[CompletionOutput]
    finished: bool
    metrics: RequestMetrics
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None
    trace_parent: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: Sequence[int]
    vector: Sequence[float]
    pooling: str
    metrics: RequestMetrics
    error: str | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOutput:
    score: float
    num_prompt_tokens: int
    how: str
    error: str | None = None
