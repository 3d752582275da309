"""What the engine reports: for each output that moved in a step, its new tokens and how it ended."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from jackfield.engine.transcript import Ending, Transcript
from jackfield.request import EngineRequest, FinishReason
from jackfield.sampling import OutputKind
from jackfield.scheduler import Request
from jackfield.step import TokenLogprobs


class Receiver(Protocol):
    """Takes the deltas of a request for a client. The thread that makes text calls it."""

    @property
    def home(self) -> Hashable:
        """The deltas of all receivers with equal homes are handed over in one call."""

    def taken(self, request: OpenRequest) -> None:
        """The engine has taken a request in. Called by the engine's thread. Returns at once."""

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        """Take the deltas of one step for all receivers of this home; False if the home is gone. Returns at once."""

    def fail(self, error: BaseException) -> None:
        """The request ends with an error of the engine. Returns at once."""


class OpenRequest:
    """A request with its n outputs, from the moment the engine took it in. Compared by identity."""

    __slots__ = (
        "arrived_s",
        "first_token_s",
        "is_followed",
        "is_streamed",
        "num_open",
        "num_untold",
        "outputs",
        "receiver",
        "request",
    )

    def __init__(
        self, request: EngineRequest, *, is_streamed: bool, receiver: Receiver | None, now_s: float
    ) -> None:
        self.request = request
        # True: each step of this request is reported to its receiver.
        self.is_streamed = is_streamed and request.sampling.output_kind is not OutputKind.FINAL
        # True: text is made after each step, because steps are reported or a stop string may end the request.
        self.is_followed = self.is_streamed or bool(request.sampling.stop)
        self.receiver = receiver  # None: nobody waits for the request, or not any more
        self.outputs: list[OpenOutput] = []
        self.num_open = request.sampling.n  # outputs that the engine has not ended
        self.num_untold = request.sampling.n  # outputs whose end the text maker has not seen
        self.arrived_s = now_s  # in the time of time.monotonic(), as all times here
        self.first_token_s: float | None = None

    @property
    def request_id(self) -> str:
        """As the user gave it, or made by the client."""
        return self.request.request_id


class OpenOutput(Request):
    """One output as the scheduler works on it, and what its followers keep."""

    __slots__ = ("is_followed", "num_reported", "open_request", "transcript")

    def follow(self, open_request: OpenRequest) -> None:
        """Set the request of this output. Called once, before the scheduler gets the output."""
        self.open_request = open_request
        self.is_followed = True  # at least until its first token
        # How many of token_ids were reported or belong to the prompt.
        self.num_reported = self.num_prompt_tokens
        self.transcript: Transcript | None = None  # set by the text maker

    def end(
        self, reason: FinishReason, stop_reason: str | int | None = None, error: str | None = None
    ) -> None:
        """End the output as any request. An end is always reported, even if no step of the request is."""
        super().end(reason, stop_reason, error)
        self.is_followed = True


class Delta:
    """What one output of a request got since its last report.

    The engine gives the new tokens; `text` is made later, on another thread. One delta is made for each row and step,
    so it holds only what differs from step to step, and the tokens stay in their list until someone reads them.
    """

    __slots__ = ("ending", "is_last", "more_follow", "output", "start", "stop", "text")

    def __init__(self, output: OpenOutput, start: int, stop: int) -> None:
        self.output = output
        self.start = start  # index in output.token_ids of the first new token
        self.stop = stop
        self.text = ""  # new text; never half a character
        self.ending: Ending | None = None  # None while the output goes on
        self.more_follow = False  # True: another output of the request moved in the same step
        self.is_last = False  # True: all outputs of the request have ended; known with the text

    @property
    def token_ids(self) -> list[int]:
        """The new tokens, in order."""
        return self.output.token_ids[self.start : self.stop]

    @property
    def logprobs(self) -> list[TokenLogprobs] | None:
        """Log probabilities of the new tokens, if the request asked for them."""
        output = self.output
        if output.logprobs is None:
            return None
        num_prompt = output.num_prompt_tokens
        return output.logprobs[self.start - num_prompt : self.stop - num_prompt]

    def append(self, later: Delta) -> None:
        """Add the next delta of the same output to this one."""
        self.stop = later.stop
        self.text += later.text
        self.ending, self.is_last = later.ending, later.is_last
        self.more_follow = later.more_follow

    @property
    def request(self) -> OpenRequest:
        """The request that the output belongs to."""
        return self.output.open_request

    @property
    def index(self) -> int:
        """Index among the n outputs."""
        return self.output.index

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the output ended; None while it goes on."""
        return None if self.ending is None else self.ending.finish_reason

    @property
    def stop_reason(self) -> str | int | None:
        """The stop string or token id that ended it."""
        return None if self.ending is None else self.ending.stop_reason

    @property
    def error(self) -> str | None:
        """What failed, for FinishReason.ERROR."""
        return None if self.ending is None else self.ending.error


def deltas_of(moved: Sequence[OpenOutput], now_s: float) -> list[Delta]:
    """What to report of outputs that moved in one step: each followed output, and every end."""
    deltas = []
    has_siblings = False
    for output in [o for o in moved if o.is_followed]:
        if output.num_reported == output.num_prompt_tokens:
            _note_first_token(output, now_s)
            if not output.is_followed and output.finish_reason is None:
                continue
        deltas.append(delta_of(output, now_s))
        has_siblings = has_siblings or output.index > 0
    if has_siblings:
        mark_siblings(deltas)
    return deltas


def delta_of(output: OpenOutput, now_s: float) -> Delta:
    """What is new since the last report of this output."""
    start, stop = output.num_reported, len(output.token_ids)
    output.num_reported = stop
    delta = Delta(output, start, stop)
    if output.finish_reason is not None:
        delta.ending = Ending(output.finish_reason, output.stop_reason, output.error, now_s)
        output.open_request.num_open -= 1
    return delta


def _note_first_token(output: OpenOutput, now_s: float) -> None:
    """Note the time of the request's first token. From then on an output is followed only if its request is."""
    request = output.open_request
    output.is_followed = request.is_followed
    if request.first_token_s is None and len(output.token_ids) > output.num_prompt_tokens:
        request.first_token_s = now_s


def mark_siblings(deltas: Sequence[Delta]) -> None:
    """Mark all but the last delta of each request."""
    seen = set()
    for delta in reversed(deltas):
        delta.more_follow = delta.request in seen
        seen.add(delta.request)
