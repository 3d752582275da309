"""The client for event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from jackfield.client.batch import pooling_output, score_output
from jackfield.client.client import Client
from jackfield.client.delta_stream import DeltaStream
from jackfield.engine.answer import Answer
from jackfield.engine.prompt import Prompt, TextPair
from jackfield.engine.scoring import pairs_of
from jackfield.errors import RequestError
from jackfield.pooling import PoolingParams
from jackfield.request import EngineRequest, PoolingOutput, RequestOutput, ScoreOutput
from jackfield.sampling import SamplingParams


class AsyncLLM(Client):
    """A model that answers many callers at once, each through an async iterator, in any number of event loops.

    Prompts are tokenized on a thread, in the order of their arrival. The engine and the making of text have threads
    of their own. Making an AsyncLLM loads the model, which takes time: make it before the event loop starts, or with
    `asyncio.to_thread`.
    """

    def deltas(
        self,
        prompt: Prompt,
        sampling_params: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
        final_only: bool = False,
    ) -> DeltaStream:
        """What is new of one prompt's outputs, each time one of them moves. This is the cheapest way to stream.

        With `final_only` each output is given once, at its end. Iterating raises RequestError if the request is
        wrong, and the engine's error if the engine ends.
        """
        stream = DeltaStream(self.engine_thread)
        make = partial(
            self.engine.input.process,
            prompt,
            sampling_params,
            request_id=request_id,
            priority=priority,
            cache_salt=cache_salt,
        )
        self._submit(stream, make, final_only=final_only)
        return stream

    async def generate(
        self,
        prompt: Prompt,
        sampling_params: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
        final_only: bool = False,
    ) -> AsyncGenerator[RequestOutput, None]:
        """Outputs of one prompt, each time the request moves; with `final_only` a single output at the end.

        `SamplingParams.output_kind` says what an output holds; "final" is the same as `final_only`.
        Raises RequestError if the request is wrong, and the engine's error if the engine ends. Cancelling the task or
        closing the iterator withdraws the request: it leaves the scheduler before the next step, and its blocks are
        free when the steps in flight are done.
        """
        stream = DeltaStream(self.engine_thread, merges=False)
        answer: Answer | None = None
        try:
            make = partial(
                self.engine.input.process,
                prompt,
                sampling_params,
                request_id=request_id,
                priority=priority,
                cache_salt=cache_salt,
            )
            self._submit(stream, make, final_only=final_only)
            async for delta in stream:
                if answer is None:
                    answer = Answer(delta.request)
                output = answer.add(delta)
                if output is not None:
                    yield output
        finally:
            stream.close()

    async def embed(
        self,
        prompt: Prompt | TextPair,
        pooling_params: PoolingParams | None = None,
        *,
        prompt_name: str | None = None,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
    ) -> PoolingOutput:
        """The vector of one prompt, or its scores; see `LLM.embed`.

        Raises RequestError if the request is wrong or fails, and the engine's error if the engine ends. Cancelling
        the task withdraws the request.
        """
        make = partial(
            self.engine.input.pool,
            prompt,
            pooling_params,
            prompt_name=prompt_name,
            request_id=request_id,
            priority=priority,
            cache_salt=cache_salt,
        )
        stream = DeltaStream(self.engine_thread, merges=False)
        try:
            self._submit(stream, make, final_only=True)
            async for delta in stream:
                output = Answer(delta.request).add(delta)
                assert output is not None, "a vector comes once, at the end"
                pooled = pooling_output(output)
                if pooled.error is not None:
                    raise RequestError(pooled.error)
                return pooled
        finally:
            stream.close()
        raise AssertionError("a stream ends with the end of its request")

    async def score(self, query: str, documents: str | Sequence[str]) -> list[ScoreOutput]:
        """How well each document fits the query; see `LLM.score`. Raises RequestError if one of the texts is wrong."""
        pairs = pairs_of(query, documents)
        scoring = self.engine.input.vectors.scoring
        outputs = await asyncio.gather(
            *(
                self.embed(text.prompt, text.params, prompt_name=text.prompt_name)
                for text in scoring.texts(pairs)
            )
        )
        return [
            score_output([outputs[place] for place in places], scoring.in_words)
            for places in scoring.places(pairs)
        ]

    def _submit(
        self, stream: DeltaStream, make: Callable[[], EngineRequest], *, final_only: bool
    ) -> None:
        inbox = stream.inbox

        def tokenize() -> None:
            try:
                inbox.submit(make(), stream=not final_only)
            except Exception as error:  # an error of this request only
                inbox.fail(error)

        self.engine_thread.tokenize(tokenize)

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
