"""What one request is answered with, as its handler in the event loop reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jackfield.discovery.loading import FAULTS
from jackfield.errors import RequestError
from jackfield.text.output_text import OutputText
from jackfield_openai_server.engine.messages import Begin, Delta, Submit

MakeText = Callable[[], OutputText | None]
"""Text of one output; None if the model has no tokenizer."""


class RequestStream:
    """Deltas of one request. Filled by the connection, read by one task of the same event loop."""

    __slots__ = (
        "_deltas",
        "_error",
        "_outputs",
        "_waiter",
        "begin",
        "has_begun",
        "is_queued",
        "num_lost",
        "num_open",
        "submit",
    )

    def __init__(self, submit: Submit, make_text: MakeText, *, includes_stop: bool) -> None:
        self.submit = submit
        self.has_begun = False  # True once a delta came: it cannot be asked for again
        self.num_lost = 0  # engines that died with it
        self.is_queued = True  # kept by the client
        self.begin: Begin | None = None  # set with the first deltas
        self.num_open: int = submit.sampling.get("n") or 1  # outputs that have not ended
        self._outputs = [
            _Output(make_text(), includes_stop=includes_stop) for _ in range(self.num_open)
        ]
        self._deltas: list[Delta] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> list[Delta]:
        """All deltas since the last call, at least one; none after the end. Raises what went wrong."""
        if not self._deltas and self.is_open:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._deltas:
            deltas, self._deltas = self._deltas, []
            return deltas
        if self._error is not None:
            raise self._error
        return []

    @property
    def can_be_asked_again(self) -> bool:
        """True if nothing of it was given out, and where it is not what engines die of."""
        return not self.has_begun and self.num_lost < 2

    @property
    def is_open(self) -> bool:
        """False once all outputs have ended, or the request failed."""
        return self.num_open > 0 and self._error is None

    def put(self, delta: Delta) -> str | None:
        """What an output gained; its text is made here. Gives the stop string that ends it, if one does."""
        output = self._outputs[delta.index]
        if output.is_ended:
            return None  # drawn before the engine knew that a stop string had ended it
        self.has_begun = True
        try:
            stop = output.take(delta)
        except FAULTS as error:
            text = f"the tokenizer cannot decode: {type(error).__name__}: {error}"
            self.fail(RequestError(text))
            return None
        if delta.finish_reason is not None:
            self.num_open -= 1
        self._deltas.append(delta)
        self._wake()
        return stop

    def fail(self, error: Exception) -> None:
        """No more comes, and this is why."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)


class _Output:
    """One output: its text, and where it ends."""

    __slots__ = ("_advance", "_includes_stop", "_num_tokens", "_text", "is_ended")

    def __init__(self, text: OutputText | None, *, includes_stop: bool) -> None:
        self.is_ended = False
        self._text = text
        self._advance = None if text is None else text.advance
        self._includes_stop = includes_stop
        self._num_tokens = 0

    def take(self, delta: Delta) -> str | None:
        """Fill in the text of a delta, and cut it where a stop string ends the output."""
        text, advance = self._text, self._advance
        self.is_ended = delta.finish_reason is not None
        if text is None or advance is None:
            return None
        self._num_tokens += len(delta.token_ids)
        if self.is_ended:
            delta.text = text.finish(self._shown(delta))
        else:
            delta.text = advance(delta.token_ids)
        if text.stop is None:
            return None
        self._cut(delta, text)
        was_open, self.is_ended = not self.is_ended, True
        return text.stop if was_open else None

    def _shown(self, delta: Delta) -> Sequence[int]:
        """The tokens that are text: not the one that stopped the output, unless that was asked for."""
        is_hidden = delta.ends_with_stop and not self._includes_stop
        return delta.token_ids[:-1] if is_hidden else delta.token_ids

    def _cut(self, delta: Delta, text: OutputText) -> None:
        """The output ends with the token in which the stop string does; later ones are surplus."""
        if text.num_tokens is not None:
            num_kept = len(delta.token_ids) - (self._num_tokens - text.num_tokens)
            delta.token_ids = delta.token_ids[:num_kept]
            if delta.logprobs is not None:
                delta.logprobs = delta.logprobs[:num_kept]
        delta.finish_reason, delta.stop_reason, delta.error = "stop", text.stop, None
