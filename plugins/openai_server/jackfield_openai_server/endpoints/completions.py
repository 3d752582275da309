"""`/v1/completions`: continuations of texts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.engine.messages import Delta
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.generation import Generation
from jackfield_openai_server.logprobs import TokenNames, completion_logprobs, prompt_logprobs
from jackfield_openai_server.merging import Merged, merged_outputs
from jackfield_openai_server.params import completion_sampling
from jackfield_openai_server.protocol.common import Usage
from jackfield_openai_server.protocol.completions import (
    Completion,
    CompletionChoice,
    CompletionRequest,
)
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.sse import DONE, EventStream, all_of, event, unless_gone
from jackfield_openai_server.state import new_id, state_of


async def complete(http: Request) -> Response:
    """Answer one or several prompts."""
    request = await read_body(http, CompletionRequest)
    model = await state_of(http).take(request.model)
    sampling = completion_sampling(request)
    prompts = [await _encoded(model, prompt, request) for prompt in prompts_of(request.prompt)]
    if request.echo and request.max_tokens == 0:
        sampling["max_tokens"] = 1  # one token is drawn, but not shown
    answer = _Answer(request, model)
    if request.stream:
        events = answer.events(_Started(http, model, prompts, sampling, request))
        return EventStream(events, write_timeout_s=state_of(http).options.write_timeout_s)
    generations = _Started(http, model, prompts, sampling, request).generations()
    return json_response(await unless_gone(http, answer.whole(generations)))


def prompts_of(prompt: str | list[int | str | list[int]]) -> list[str | list[int]]:
    """One prompt, or several. A list of numbers is one prompt. Raises ApiError."""
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise ApiError(400, "the prompt is empty; give at least one token", param="prompt")
    if all(isinstance(part, int) for part in prompt):
        return [prompt]  # type: ignore[list-item]
    if any(isinstance(part, int) for part in prompt):
        raise ApiError(
            400, "prompt mixes token ids and prompts; give one or the other", param="prompt"
        )
    return prompt  # type: ignore[return-value]


async def _encoded(
    model: ServedModel, prompt: str | list[int], request: CompletionRequest
) -> list[int]:
    if not isinstance(prompt, str):
        return prompt
    return await model.text.encode(
        prompt,
        add_special_tokens=request.add_special_tokens is not False,
        max_length=model.facts.max_length,
        last=model.num_kept(request.truncate_prompt_tokens),
    )


class _Started:
    """The prompts of one request. Each of them becomes a request of the engine."""

    def __init__(
        self,
        http: Request,
        model: ServedModel,
        prompts: Sequence[list[int]],
        sampling: dict[str, object],
        request: CompletionRequest,
    ) -> None:
        self._arguments = (http, model, sampling, request)
        self._prompts = prompts

    def generations(self) -> list[Generation]:
        """Admit all of them, or none."""
        http, model, sampling, request = self._arguments
        state = state_of(http)
        with ExitStack() as undone:
            found: list[Generation] = []
            for prompt in self._prompts:
                generation = state.generate(http, model, prompt, sampling, request)
                undone.callback(generation.close)
                found.append(generation)
            undone.pop_all()
        return found


class _Answer:
    """The answer to one request."""

    def __init__(self, request: CompletionRequest, model: ServedModel) -> None:
        self._request = request
        self._model = model
        self._id = request.request_id or new_id("cmpl")
        self._created = int(time.time())
        self._name = request.model or model.names[0]
        self._names = TokenNames(model.text, as_ids=bool(request.return_tokens_as_token_ids))
        self._n = request.n or 1
        self._begun: set[int] = set()  # choices whose prompt was told, if token ids are asked for

    # As a whole

    async def whole(self, generations: list[Generation]) -> Completion:
        """All choices with the usage."""
        collected = await all_of(generation.collect() for generation in generations)
        choices: list[CompletionChoice] = []
        for generation, deltas in zip(generations, collected, strict=True):
            outputs = self._best(merged_outputs(deltas))
            for merged in outputs:
                choices.append(await self._choice(len(choices), merged, generation))
        return self._completion(choices, total_usage(generations))

    def _best(self, outputs: list[Merged]) -> list[Merged]:
        """The n most likely of best_of outputs."""
        if len(outputs) <= self._n:
            return outputs
        return sorted(outputs, key=lambda merged: -merged.mean_logprob)[: self._n]

    async def _choice(self, index: int, merged: Merged, generation: Generation) -> CompletionChoice:
        request, num_top = self._request, self._request.logprobs
        prompt = generation.prompt_token_ids if request.echo else []
        hidden = request.echo and request.max_tokens == 0
        token_ids = [*prompt, *([] if hidden else merged.token_ids)]
        echo = await self._model.text.decode(prompt) if prompt else ""
        choice = CompletionChoice(index, echo + ("" if hidden else merged.text))
        choice.finish_reason = "length" if hidden else merged.finish_reason
        choice.stop_reason = merged.stop_reason
        found = generation.begin.prompt_logprobs if generation.begin else None
        if num_top is not None:
            entries = [
                *((found or []) if prompt else []),
                *merged.logprobs[: len(token_ids) - len(prompt)],
            ]
            choice.logprobs = completion_logprobs(entries, token_ids, self._names, 0, num_top)
        if request.prompt_logprobs is not None and found is not None:
            choice.prompt_logprobs = prompt_logprobs(found, self._names)
        if request.return_token_ids:
            choice.token_ids, choice.prompt_token_ids = (
                merged.token_ids,
                generation.prompt_token_ids,
            )
        return choice

    # Streamed

    async def events(self, started: _Started) -> AsyncGenerator[bytes, None]:
        """Chunks of all choices, in the order of their arrival."""
        generations = started.generations()
        options = self._request.stream_options
        queue: asyncio.Queue[tuple[int, list[Delta]] | BaseException | None] = asyncio.Queue()
        if len(generations) == 1:
            async for piece in self._events_of_one(generations[0]):
                yield piece
        else:
            tasks = [
                asyncio.create_task(_pump(number, generation, queue))
                for number, generation in enumerate(generations)
            ]
            try:
                offsets = [0] * (len(generations) * self._n)
                num_open = len(tasks)
                while num_open:
                    found = await queue.get()
                    if isinstance(found, BaseException):
                        raise found
                    if found is None:
                        num_open -= 1
                        continue
                    yield self._chunks(found[1], found[0] * self._n, offsets, generations[found[0]])
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if options is not None and options.include_usage:
            yield event(self._completion([], total_usage(generations)))
        yield DONE

    async def _events_of_one(self, generation: Generation) -> AsyncGenerator[bytes, None]:
        offsets = [0] * self._n
        deltas = generation.deltas()
        try:
            if self._request.echo:
                text = await self._model.text.decode(generation.prompt_token_ids)
                choices = [CompletionChoice(index, text) for index in range(self._n)]
                for choice in choices:
                    self._tell_prompt(choice, generation)
                yield event(self._completion(choices, None))
            async for batch in deltas:
                yield self._chunks(batch, 0, offsets, generation)
        finally:
            await deltas.aclose()
            generation.close()

    def _chunks(
        self, deltas: list[Delta], first: int, offsets: list[int], generation: Generation
    ) -> bytes:
        request = self._request
        pieces: list[bytes] = []
        for delta in deltas:
            choice = CompletionChoice(first + delta.index, delta.text)
            choice.finish_reason, choice.stop_reason = delta.finish_reason, delta.stop_reason
            if request.logprobs is not None and delta.logprobs is not None:
                choice.logprobs = completion_logprobs(
                    delta.logprobs,
                    delta.token_ids,
                    self._names,
                    offsets[choice.index],
                    request.logprobs,
                )
                offsets[choice.index] += sum(map(len, choice.logprobs.tokens))
            if request.return_token_ids:
                choice.token_ids = delta.token_ids
                self._tell_prompt(choice, generation)
            options = request.stream_options
            with_usage = options is not None and options.continuous_usage_stats
            usage = generation.usage() if with_usage else None
            pieces.append(event(self._completion([choice], usage)))
        return b"".join(pieces)

    def _tell_prompt(self, choice: CompletionChoice, generation: Generation) -> None:
        """Put the prompt's token ids into the first chunk of a choice, if they are asked for."""
        if self._request.return_token_ids and choice.index not in self._begun:
            self._begun.add(choice.index)
            choice.prompt_token_ids = generation.prompt_token_ids

    def _completion(self, choices: list[CompletionChoice], usage: Usage | None) -> Completion:
        shown = msgspec.UNSET if usage is None else usage
        return Completion(self._id, self._created, self._name, choices, usage=shown)


async def _pump(
    number: int,
    generation: Generation,
    queue: asyncio.Queue[tuple[int, list[Delta]] | BaseException | None],
) -> None:
    """Pass on the deltas of one of several prompts."""
    try:
        async for deltas in generation.deltas():
            queue.put_nowait((number, deltas))
        queue.put_nowait(None)
    except Exception as error:
        queue.put_nowait(error)
    finally:
        generation.close()


def total_usage(generations: Sequence[Generation]) -> Usage:
    """The usage of all prompts of a request together."""
    usages = [generation.usage() for generation in generations]
    total = usages[0]
    for usage in usages[1:]:
        total.prompt_tokens += usage.prompt_tokens
        total.completion_tokens += usage.completion_tokens
        total.total_tokens += usage.total_tokens
        if total.prompt_tokens_details and usage.prompt_tokens_details:
            total.prompt_tokens_details.cached_tokens += usage.prompt_tokens_details.cached_tokens
    return total
