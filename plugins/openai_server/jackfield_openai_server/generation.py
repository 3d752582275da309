"""The answer to one request while it arrives. Completions, chats and the other endpoints use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from jackfield_openai_server.engine.messages import Begin, Delta
from jackfield_openai_server.engine.stream import RequestStream
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.metrics import RequestTimer
from jackfield_openai_server.protocol.common import (
    CompletionTokensDetails,
    PromptTokensDetails,
    Usage,
)
from jackfield_openai_server.served import ServedModel


class Generation:
    """An open request. If `deltas` is left early, the request is withdrawn from the engine."""

    def __init__(
        self,
        model: ServedModel,
        stream: RequestStream,
        timer: RequestTimer,
        deadline_s: float | None,  # from now on
        left: Callable[[], None],  # called when the request has ended, for whatever reason
    ) -> None:
        self.num_prompt_tokens = len(stream.submit.prompt)
        self.prompt_token_ids = stream.submit.prompt
        self.num_output_tokens = 0
        self.num_reasoning_tokens = 0
        self._model = model
        self._stream = stream
        self._timer = timer
        self._deadline_s = deadline_s
        self._left = left
        self._is_closed = False

    async def deltas(self) -> AsyncGenerator[list[Delta], None]:
        """New tokens of its outputs, as many at once as there are. Raises ApiError if one of them fails."""
        stream, timer = self._stream, self._timer
        try:
            async with asyncio.timeout(self._deadline_s):
                while deltas := await stream.read():
                    num_tokens = 0
                    for delta in deltas:
                        num_tokens += len(delta.token_ids)
                        if delta.error is not None:
                            raise ApiError(500, delta.error, code="request_failed")
                    self.num_output_tokens += num_tokens
                    timer.moved(num_tokens)
                    yield deltas
            timer.finished(stream.begin)
        except TimeoutError:
            raise ApiError(
                504, f"no answer within the deadline of {self._deadline_s:g} s", code="deadline"
            ) from None
        finally:
            self.close()

    def close(self) -> None:
        """Withdraw the request if it has not ended. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._timer.close()
            self._model.engine.withdraw(self._stream)
            self._left()

    async def collect(self) -> list[list[Delta]]:
        """All deltas, by output."""
        outputs: list[list[Delta]] = [[] for _ in range(self._stream.submit.sampling.get("n") or 1)]
        async with aclosing(self.deltas()) as batches:
            async for deltas in batches:
                for delta in deltas:
                    outputs[delta.index].append(delta)
        return outputs

    @property
    def begin(self) -> Begin | None:
        """The engine's facts with the first token; None before that."""
        return self._stream.begin

    def usage(self) -> Usage:
        """The usage so far."""
        begin = self.begin
        details = PromptTokensDetails(begin.num_cached_tokens) if begin else None
        reasoning = self.num_reasoning_tokens
        return Usage(
            self.num_prompt_tokens,
            self.num_output_tokens,
            self.num_prompt_tokens + self.num_output_tokens,
            details,
            CompletionTokensDetails(reasoning) if reasoning else None,
        )
