"""What a user gets back: outputs, their reasons to finish, and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from jackfield.grammar import Grammar
from jackfield.pooling import PoolingParams
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs


class FinishReason(StrEnum):
    """Why an output ended."""

    STOP = "stop"  # an end token, stop token or stop string came, or the vector is ready
    LENGTH = "length"  # max_tokens or the model's length was reached
    ABORT = "abort"  # the user withdrew it
    ERROR = "error"  # this request failed; CompletionOutput.error says why


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    """What must be equal, beside the tokens, for two requests to share cached blocks."""

    salt: str = ""  # tenant
    adapter: str = ""  # digest of the adapter that changes the weights
    media: tuple[str, ...] = ()  # digests of images, sound and the like
    # True: computed with rope frequencies for long texts. Short texts have other frequencies.
    is_scaled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """A checked request as the engine takes it: it holds token ids, and nothing in it can be a mistake of the user."""

    request_id: str  # unique among open requests
    prompt_token_ids: Sequence[int]  # at least one
    sampling: SamplingParams  # checked
    grammar: Grammar | None = None  # sampling.structured, compiled
    pooling: PoolingParams | None = (
        None  # a vector is wanted, and no tokens; all fields are filled in
    )
    second_text: int | None = None  # index in the prompt at which the second of two texts begins
    details: Mapping[str, str] = field(default_factory=dict)  # about its outputs, for people
    prompt: str | None = None  # the text, if the prompt came as text
    priority: int = 0  # lower runs first
    # What else must be equal to share cached blocks.
    prefix_key: PrefixKey = field(default_factory=PrefixKey)
    trace_parent: str | None = None  # the caller's W3C header `traceparent`


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetrics:
    """Times of one request, in seconds of time.monotonic()."""

    arrived_s: float  # when the engine took it in
    admitted_s: float | None = None  # when it got a row for the first time
    first_token_s: float | None = None  # when an output had its first token
    finished_s: float | None = None  # None while it is open
    num_cached_tokens: int = 0  # prompt tokens taken from the prefix cache
    num_preemptions: int = 0  # number of preemptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionOutput:
    """One of the `n` outputs of a request. If `SamplingParams.output_kind` is "delta", it holds only what is new."""

    index: int  # index of the output, from 0
    text: str  # all so far, or what is new
    token_ids: Sequence[int]  # all so far, or what is new
    delta: str = ""  # text since the last output; never half a character
    finish_reason: FinishReason | None = None  # None while the output goes on
    stop_reason: str | int | None = None  # the stop string or token id that ended it
    logprobs: Sequence[TokenLogprobs] | None = None  # one entry a token, if asked for
    error: str | None = None  # what failed, for FinishReason.ERROR
    # Score of a beam search: log probability / length ** length_penalty.
    score: float | None = None
    vector: Sequence[float] | None = None  # float32; for a request with pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutput:
    """The state of a request after a step in which it moved."""

    request_id: str  # as given, or made by the client
    prompt: str | None  # the text, if the prompt came as text
    prompt_token_ids: Sequence[int]  # as computed, with special tokens
    outputs: Sequence[CompletionOutput]  # n of them, by index
    finished: bool  # True: this is the last output of the request
    metrics: RequestMetrics  # times and counts
    # One entry for each prompt token; None for the first.
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None
    trace_parent: str | None = None  # as in the request
    details: Mapping[str, str] = field(default_factory=dict)  # for people; may grow in any release


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingOutput:
    """The vector of one prompt, or its scores."""

    request_id: str  # as given, or made by the client
    prompt: str | None  # the text, if the prompt came as text
    prompt_token_ids: Sequence[int]  # as computed, with special tokens
    vector: Sequence[float]  # float32 (an array); empty if the request failed
    pooling: str  # how the vector was made, for people
    metrics: RequestMetrics  # times and counts
    error: str | None = None  # what failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOutput:
    """How well two texts fit each other."""

    score: float  # the higher the better; NaN if it failed
    num_prompt_tokens: int  # number of all prompt tokens that were computed
    how: str  # how the score was made, for people
    error: str | None = None  # what failed
