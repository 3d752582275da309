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

    STOP = "stop"  # end token, stop token or stop string, or the vector is there
    LENGTH = "length"  # max_tokens, or the model's length
    ABORT = "abort"  # the user withdrew it
    ERROR = "error"  # this request failed; CompletionOutput.error says why


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    """What, beside the tokens, must be equal for two requests to share cached blocks."""

    salt: str = ""  # tenant
    adapter: str = ""  # name of the adapter that the weights are changed by
    media: tuple[str, ...] = ()  # digests
    is_scaled: bool = (
        False  # computed with rope frequencies for long texts, where short ones have others
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """A checked request as the engine takes it: token ids in, nothing left that a user could have got wrong."""

    request_id: str  # no other open request has it
    prompt_token_ids: Sequence[int]  # at least one
    sampling: SamplingParams  # checked
    grammar: Grammar | None = None  # of sampling.structured, compiled
    pooling: PoolingParams | None = None  # a vector is wanted, and no tokens; completed
    second_text: int | None = None  # where the second of two texts begins in the prompt
    details: Mapping[str, str] = field(default_factory=dict)  # of its outputs, for people
    prompt: str | None = None  # the text, where it came as text
    priority: int = 0  # lower runs first
    # what else must be equal to share cached blocks
    prefix_key: PrefixKey = field(default_factory=PrefixKey)
    trace_parent: str | None = None  # of whoever asked, as in the W3C's header `traceparent`


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetrics:
    """Times of one request, in seconds of time.monotonic()."""

    arrived_s: float  # taken in by the engine
    admitted_s: float | None = None  # got a row for the first time; until then it waited
    first_token_s: float | None = None  # of the first output that had one
    finished_s: float | None = None  # None while it is open
    num_cached_tokens: int = 0  # prompt tokens served from the prefix cache
    num_preemptions: int = 0  # times that it made room for another


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionOutput:
    """One of the `n` outputs of a request. Where `SamplingParams.output_kind` is "delta" it holds what is new alone."""

    index: int  # from 0, of the n outputs
    text: str  # all so far, or what is new
    token_ids: Sequence[int]  # all so far, or what is new
    delta: str = ""  # text since the last output; never half a character
    finish_reason: FinishReason | None = None  # None while it goes on
    stop_reason: str | int | None = None  # the stop string or token id
    logprobs: Sequence[TokenLogprobs] | None = None  # one entry a token, where asked for
    error: str | None = None  # of FinishReason.ERROR: what failed
    score: float | None = None  # of a beam search: log probability by length ** length_penalty
    vector: Sequence[float] | None = None  # float32, of a request with pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutput:
    """The state of a request after a step in which it moved."""

    request_id: str  # as given, or made by the client
    prompt: str | None  # the text, where it came as text
    prompt_token_ids: Sequence[int]  # as computed, special tokens included
    outputs: Sequence[CompletionOutput]  # n of them, by index
    finished: bool  # True: the last output of this request
    metrics: RequestMetrics  # times and counts
    # one entry a prompt token, None for the first
    prompt_logprobs: Sequence[TokenLogprobs | None] | None = None
    trace_parent: str | None = None  # as the request had it
    details: Mapping[str, str] = field(default_factory=dict)  # for people; may grow in any release


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingOutput:
    """The vector of one prompt, or its scores."""

    request_id: str  # as given, or made by the client
    prompt: str | None  # the text, where it came as text
    prompt_token_ids: Sequence[int]  # as computed, special tokens included
    vector: Sequence[float]  # float32 (an array); empty if it failed
    pooling: str  # how it was made, for people
    metrics: RequestMetrics  # times and counts
    error: str | None = None  # what failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOutput:
    """How well two texts fit each other."""

    score: float  # the higher the better; NaN if it failed
    num_prompt_tokens: int  # of all that was computed for it
    how: str  # it was made, for people
    error: str | None = None  # what failed
