"""What a user gets back: outputs, their reasons to finish, and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs


class FinishReason(StrEnum):
    """Why an output ended."""

    STOP = "stop"  # end token, stop token or stop string
    LENGTH = "length"  # max_tokens, or the model's length
    ABORT = "abort"  # the user withdrew it
    ERROR = "error"  # this request failed; CompletionOutput.error says why


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    """What, beside the tokens, must be equal for two requests to share cached blocks."""

    salt: str = ""  # tenant
    adapter: str = ""
    media: tuple[str, ...] = ()  # digests


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """A checked request as the engine takes it: token ids in, nothing left that a user could have got wrong."""

    request_id: str
    prompt_token_ids: Sequence[int]
    sampling: SamplingParams
    prompt: str | None = None
    priority: int = 0  # lower runs first
    prefix_key: PrefixKey = field(default_factory=PrefixKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetrics:
    """Times of one request, in seconds of time.monotonic()."""

    arrived_s: float
    first_token_s: float | None = None
    finished_s: float | None = None
    num_cached_tokens: int = 0  # prompt tokens served from the prefix cache
    num_preemptions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionOutput:
    """One of the `n` outputs of a request."""

    index: int
    text: str  # all so far; `delta` holds what is new since the last output
    token_ids: Sequence[int]
    delta: str = ""
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None  # the stop string or token id
    logprobs: Sequence[TokenLogprobs] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutput:
    """The state of a request after a step in which it moved."""

    request_id: str
    prompt: str | None
    prompt_token_ids: Sequence[int]
    outputs: Sequence[CompletionOutput]
    finished: bool
    metrics: RequestMetrics
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None
    details: Mapping[str, str] = field(default_factory=dict)
