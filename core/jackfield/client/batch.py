"""The prompts of one call and their outputs, in the same order."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from queue import SimpleQueue
from typing import Protocol, TypeVar

from jackfield.client.own_copy import own_copy
from jackfield.engine.answer import Answer
from jackfield.engine.deltas import Delta, OpenRequest
from jackfield.engine.prompt import KINDS, Prompt, Prompts, TextPair, is_single
from jackfield.engine.scoring import Scoring
from jackfield.errors import RequestError
from jackfield.request import (
    CompletionOutput,
    EngineRequest,
    FinishReason,
    PoolingOutput,
    RequestMetrics,
    RequestOutput,
    ScoreOutput,
)

T = TypeVar("T")


class Maker(Protocol):
    """Makes the request of one prompt. Raises RequestError."""

    def __call__(self, *, request_id: str) -> EngineRequest:
        """The checked request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt of a call."""

    prompt: Prompt | TextPair
    make: Maker


class Batch:
    """Receives the deltas of one call's requests, and makes outputs from them while its caller waits."""

    def __init__(self) -> None:
        self._steps: SimpleQueue[Sequence[Delta] | Exception] = SimpleQueue()
        self._answers: dict[OpenRequest, Answer] = {}
        # By request id, in the order of the prompts.
        self._last: dict[str, RequestOutput | None] = {}
        self.num_open = 0  # requests that have not ended

    # Called by other threads

    @property
    def home(self) -> Batch:
        """The batch itself: all its requests are served at once."""
        return self

    def taken(self, request: OpenRequest) -> None:
        """The engine has taken a request in."""

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        """Take the deltas of one step."""
        self._steps.put(deltas)
        return True

    def fail(self, error: BaseException) -> None:
        """The engine has ended."""
        self._steps.put(own_copy(error))

    # Called by the caller

    @property
    def num_expected(self) -> int:
        """Number of all requests."""
        return len(self._last)

    @property
    def num_finished(self) -> int:
        """Requests that have ended."""
        return len(self._last) - self.num_open

    @property
    def results(self) -> list[RequestOutput]:
        """The last output of every request that has one, in the order of the prompts."""
        return [output for output in self._last.values() if output is not None]

    def expect(self, request_id: str) -> None:
        """Add a request that is about to be made."""
        self._last[request_id] = None
        self.num_open += 1

    def refuse(self, output: RequestOutput) -> RequestOutput:
        """Add the output of a request that failed before it began."""
        self._last[output.request_id] = output
        self.num_open -= 1
        return output

    def wait(self) -> list[RequestOutput]:
        """The outputs of the next step. Raises the error that ended the engine."""
        step = self._steps.get()
        if isinstance(step, Exception):
            raise step
        outputs = []
        for delta in step:
            request = delta.output.open_request
            answer = self._answers.get(request)
            if answer is None:
                answer = self._answers[request] = Answer(request)
            output = answer.add(delta)
            if output is not None:
                outputs.append(output)
                if output.finished:
                    del self._answers[request]
                    self._last[output.request_id] = output
                    self.num_open -= 1
        return outputs


def as_list(prompts: Prompts) -> list[Prompt]:
    """All prompts of a call as a list. Raises RequestError if `prompts` is neither a prompt nor prompts."""
    try:
        return [prompts] if is_single(prompts) else list(prompts)  # type: ignore[arg-type]
    except (TypeError, KeyError):
        raise RequestError(
            f"prompts must be {KINDS}; or a list of such. Got {type(prompts).__name__}"
        ) from None


def spread(what: str, values: T | Sequence[T], count: int) -> Iterator[T]:
    """One value for each of `count` prompts: the same for all, or a list with one for each."""
    if not isinstance(values, Sequence):
        return iter([values] * count)
    if len(values) != count:
        raise RequestError(
            f"{count} prompts came with {len(values)} {what}; give one for all, or one for each"
        )
    return iter(values)


def spread_text(what: str, values: str | Sequence[str], count: int) -> Iterator[str]:
    """As `spread`, for text, which is itself a sequence."""
    return iter([values] * count) if isinstance(values, str) else spread(what, values, count)


def pooling_output(output: RequestOutput) -> PoolingOutput:
    """The PoolingOutput of a request with pooling."""
    (only,) = output.outputs
    is_cut = only.error is None and only.finish_reason is not FinishReason.STOP
    return PoolingOutput(
        request_id=output.request_id,
        prompt=output.prompt,
        prompt_token_ids=output.prompt_token_ids,
        vector=array("f") if only.vector is None else only.vector,
        pooling=output.details.get("pooling", ""),
        metrics=output.metrics,
        error="it was withdrawn" if is_cut else only.error,
    )


def score_output(outputs: Sequence[PoolingOutput], how: str) -> ScoreOutput:
    """The ScoreOutput of one pair, from what was computed for the pair."""
    error = next((output.error for output in outputs if output.error is not None), None)
    return ScoreOutput(
        score=nan if error else Scoring.score([output.vector for output in outputs]),
        num_prompt_tokens=sum(len(output.prompt_token_ids) for output in outputs),
        how=how,
        error=error,
    )


def failed_output(
    request_id: str, prompt: Prompt | TextPair | None, error: RequestError
) -> RequestOutput:
    """The output of a refused prompt."""
    now_s = time.monotonic()
    completion = CompletionOutput(
        index=0, text="", token_ids=[], finish_reason=FinishReason.ERROR, error=str(error)
    )
    return RequestOutput(
        request_id=request_id,
        prompt=prompt if isinstance(prompt, str) else None,
        prompt_token_ids=[],
        outputs=[completion],
        finished=True,
        metrics=RequestMetrics(arrived_s=now_s, finished_s=now_s),
    )
