"""The deltas of one request, as its handler in the event loop reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jackfield.discovery.loading import FAULTS
from jackfield.errors import RequestError
from jackfield.text.output_text import OutputText
from jackfield_openai_server.engine.messages import Begin, Delta, Submit

MakeText = Callable[[], OutputText | None]
"""Makes the text of one output; returns None if the model has no tokenizer."""


class RequestStream:
    """Deltas of one request. The connection fills it; one task of the same event loop reads it."""

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
        self.has_begun = False  # True: a delta came, so the request cannot be sent again
        self.num_lost = 0  # number of engines that died with it
        self.is_queued = True  # maintained by the client
        self.begin: Begin | None = None  # set with the first deltas
        self.num_open: int = submit.sampling.get("n") or 1  # outputs that have not ended
        self._outputs = [
            _Output(make_text(), includes_stop=includes_stop) for _ in range(self.num_open)
        ]
        self._deltas: list[Delta] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> list[Delta]:
        """All deltas since the last call, at least one; an empty list after the end. Raises the error of the request."""
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
        """True if nothing of it was given out and it is not likely to be the reason why engines die."""
        return not self.has_begun and self.num_lost < 2

    @property
    def is_open(self) -> bool:
        """False once all outputs have ended, or the request failed."""
        return self.num_open > 0 and self._error is None

    def put(self, delta: Delta) -> str | None:
        """Take a delta, and make its text. Returns the stop string that ends the output, if there is one."""
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
        """End the request with this error."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)


class _Output:
    """One output: its text, and its end."""

    __slots__ = ("_advance", "_includes_stop", "_num_tokens", "_text", "is_ended")

    def __init__(self, text: OutputText | None, *, includes_stop: bool) -> None:
        self.is_ended = False
        self._text = text
        self._advance = None if text is None else text.advance
        self._includes_stop = includes_stop
        self._num_tokens = 0

    def take(self, delta: Delta) -> str | None:
        """Fill in the text of a delta, and cut it off if a stop string ends the output."""
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
        """The tokens that appear as text. The stop token is left out, unless the request wants it."""
        is_hidden = delta.ends_with_stop and not self._includes_stop
        return delta.token_ids[:-1] if is_hidden else delta.token_ids

    def _cut(self, delta: Delta, text: OutputText) -> None:
        """End the output with the token that completes the stop string. Later tokens are surplus."""
        if text.num_tokens is not None:
            num_kept = len(delta.token_ids) - (self._num_tokens - text.num_tokens)
            delta.token_ids = delta.token_ids[:num_kept]
            if delta.logprobs is not None:
                delta.logprobs = delta.logprobs[:num_kept]
        delta.finish_reason, delta.stop_reason, delta.error = "stop", text.stop, None
