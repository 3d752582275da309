"""The prompts of one call, with what belongs to each, and their outputs in the same order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TypeVar

from jackfield.engine.prompt import KINDS, Prompt, Prompts, is_single
from jackfield.errors import RequestError
from jackfield.request import CompletionOutput, FinishReason, RequestMetrics, RequestOutput

T = TypeVar("T")


class Batch:
    """Requests of one call. Holds the last output of each, and those that were not yet streamed."""

    def __init__(self) -> None:
        self.new: deque[RequestOutput] = deque()  # for a caller that streams
        self._latest: dict[str, RequestOutput | None] = {}  # by request id, in the order of prompts
        self._open: set[str] = set()

    @property
    def open_ids(self) -> Sequence[str]:
        """Requests that have not ended."""
        return tuple(self._open)

    @property
    def num_finished(self) -> int:
        """Requests that have ended."""
        return len(self._latest) - len(self._open)

    @property
    def results(self) -> list[RequestOutput]:
        """The last output of every request that has one, in the order of the prompts."""
        return [output for output in self._latest.values() if output is not None]

    def add(self, request_id: str) -> None:
        """A request that was taken in."""
        self._latest[request_id] = None
        self._open.add(request_id)

    def receive(self, output: RequestOutput) -> None:
        """An output of one of these requests, or of a prompt that failed at once."""
        self._latest[output.request_id] = output
        self.new.append(output)
        if output.finished:
            self._open.discard(output.request_id)


def as_list(prompts: Prompts) -> list[Prompt]:
    """All prompts of a call. Raises RequestError where this is no prompt at all."""
    try:
        return [prompts] if is_single(prompts) else list(prompts)  # type: ignore[arg-type]
    except (TypeError, KeyError):
        raise RequestError(
            f"prompts must be {KINDS}; or a list of such. Got {type(prompts).__name__}"
        ) from None


def spread(what: str, values: T | Sequence[T], count: int) -> Iterator[T]:
    """One value for each of `count` prompts: the same for all, or a list of as many."""
    if not isinstance(values, Sequence):
        return iter([values] * count)
    if len(values) != count:
        raise RequestError(
            f"{count} prompts came with {len(values)} {what}; give one for all, or one for each"
        )
    return iter(values)


def spread_text(what: str, values: str | Sequence[str], count: int) -> Iterator[str]:
    """As `spread`, for text, which is a sequence itself."""
    return iter([values] * count) if isinstance(values, str) else spread(what, values, count)


def failed_output(request_id: str, prompt: Prompt, error: RequestError) -> RequestOutput:
    """The output of a prompt that was refused."""
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
