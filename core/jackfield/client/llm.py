"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

from jackfield.client.batch import (
    Asked,
    Batch,
    as_list,
    failed_output,
    pooling_output,
    score_output,
    spread,
    spread_text,
)
from jackfield.client.client import Client
from jackfield.config import LoadedConfig
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.prompt import ChatMessage, Prompts, is_single
from jackfield.engine.scoring import pairs_of
from jackfield.errors import RequestError
from jackfield.pooling import CLASSES, PoolingParams
from jackfield.request import EngineRequest, PoolingOutput, RequestOutput, ScoreOutput
from jackfield.sampling import SamplingParams


class LLM(Client):
    """A model that answers prompts. Calls return when the answers are complete.

    A prompt is text, a list of token ids, or a conversation (a list of messages with role and content). If a single
    prompt, not in a list, is wrong, RequestError is raised. In a list only the wrong prompt fails: its output has
    finish_reason "error", and `outputs[0].error` says why. The `request_id`s of an LLM count its prompts from 0, so
    within one call they rise in the order of the prompts.

    If a worker fails, WorkerError is raised with the worker's own traceback, and this LLM is closed.
    """

    def _open(self, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> None:
        super()._open(loaded, registry)
        self._next_id = count()

    def generate(
        self,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        progress: bool = False,
        priority: int | Sequence[int] = 0,
        cache_salt: str | Sequence[str] = "",
    ) -> list[RequestOutput]:
        """Answer all prompts. Returns a list of outputs in the order of the prompts, also for a single prompt.

        `sampling_params`, `priority` (lower runs first, if select.scheduler = "priority") and `cache_salt` (prompts
        share cached prefixes only under equal salts) are one value for all prompts, or a list with one for each.
        `progress` shows a bar on standard error. An interrupt withdraws all requests of this call.
        """
        asked = self._generations(prompts, sampling_params, priority, cache_salt)
        return self._answer(asked, is_alone=is_single(prompts), progress=progress).results

    def chat(
        self,
        messages: Sequence[ChatMessage] | Sequence[Sequence[ChatMessage]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        progress: bool = False,
    ) -> list[RequestOutput]:
        """Answer one conversation, or a list of them, each wrapped in the model's chat template."""
        return self.generate(messages, sampling_params, progress=progress)

    def stream(
        self,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        priority: int | Sequence[int] = 0,
        cache_salt: str | Sequence[str] = "",
    ) -> Iterator[RequestOutput]:
        """Answer all prompts, with an output each time a request moves; its `delta` is the new text.

        `SamplingParams.output_kind` says what an output holds: all so far, what is new, or everything once, at the
        end. The requests begin when the first output is asked for; after that the engine does not wait for the
        reader. Closing the iterator withdraws the open requests.
        """
        batch = Batch()
        try:
            asked = self._generations(prompts, sampling_params, priority, cache_salt)
            yield from self._submit(batch, asked, is_alone=is_single(prompts), stream=True)
            while batch.num_open:
                yield from batch.wait()
        finally:
            self._leave(batch)

    def embed(
        self,
        prompts: Prompts,
        pooling_params: PoolingParams | Sequence[PoolingParams] | None = None,
        *,
        prompt_name: str | None = None,
        progress: bool = False,
        priority: int | Sequence[int] = 0,
        cache_salt: str | Sequence[str] = "",
    ) -> list[PoolingOutput]:
        """The vector of each prompt, in order. Fields that `pooling_params` leave open are as the model's authors
        want them.

        `prompt_name` is the name of a text that the model's files say to put before an input, such as "query". If the
        files do not say how to pool, an encoder takes the mean of all tokens and a decoder the last token,
        normalised; `PoolingOutput.pooling` says what was done. In a list only a wrong prompt fails: its `error` says
        why.
        """
        entries = as_list(prompts)
        size = len(entries)
        asked = [
            Asked(
                prompt,
                partial(
                    self.engine.input.pool,
                    prompt,
                    params,
                    prompt_name=prompt_name,
                    priority=prio,
                    cache_salt=salt,
                ),
            )
            for prompt, params, prio, salt in zip(
                entries,
                spread("pooling_params", pooling_params, size),
                spread("priorities", priority, size),
                spread_text("cache_salts", cache_salt, size),
                strict=True,
            )
        ]
        batch = self._answer(asked, is_alone=is_single(prompts), progress=progress)
        return [pooling_output(output) for output in batch.results]

    def classify(
        self, prompts: Prompts, *, activation: bool = True, progress: bool = False
    ) -> list[PoolingOutput]:
        """The scores of each prompt by the model's classification head: probabilities, or logits if `activation` is
        False.
        """
        params = PoolingParams(output=CLASSES, activation=activation)
        return self.embed(prompts, params, prompt_name=None, progress=progress)

    def score(
        self,
        queries: str | Sequence[str],
        documents: str | Sequence[str],
        *,
        progress: bool = False,
    ) -> list[ScoreOutput]:
        """How well each document fits its query. Give one query for all documents, or one for each.

        A model with a classification head of one class reads both texts at once (a reranker). For any other model the
        vectors of the texts are compared by their cosine; its prompts "query" and "document" stand before the texts
        if it has them.
        """
        pairs = pairs_of(queries, documents)
        scoring = self.engine.input.vectors.scoring
        asked = [
            Asked(
                text.prompt,
                partial(
                    self.engine.input.pool,
                    text.prompt,
                    text.params,
                    prompt_name=text.prompt_name,
                ),
            )
            for text in scoring.texts(pairs)
        ]
        batch = self._answer(asked, is_alone=False, progress=progress)
        outputs = [pooling_output(output) for output in batch.results]
        return [
            score_output([outputs[place] for place in places], scoring.in_words)
            for places in scoring.places(pairs)
        ]

    def chat_prompt(self, messages: Sequence[ChatMessage], **values: Any) -> list[int]:
        """The token ids of a conversation, to be used as a prompt; `values` go to the chat template."""
        return self.engine.input.chat_prompt(messages, **values)

    # Parts

    def _generations(
        self,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        priority: int | Sequence[int],
        cache_salt: str | Sequence[str],
    ) -> Iterator[Asked]:
        """For each prompt, the function that makes its request, which needs an id."""
        entries = as_list(prompts)
        size = len(entries)
        for prompt, params, prio, salt in zip(
            entries,
            spread("sampling_params", sampling_params, size),
            spread("priorities", priority, size),
            spread_text("cache_salts", cache_salt, size),
            strict=True,
        ):
            make = partial(
                self.engine.input.process, prompt, params, priority=prio, cache_salt=salt
            )
            yield Asked(prompt, make)

    def _submit(
        self, batch: Batch, asked: Iterable[Asked], *, is_alone: bool, stream: bool
    ) -> list[RequestOutput]:
        """Make requests from prompts on this thread, then let the engine take them all. Returns outputs of failed
        prompts.
        """
        requests: list[EngineRequest] = []
        failed: list[RequestOutput] = []
        for one in asked:
            request_id = str(next(self._next_id))
            batch.expect(request_id)
            try:
                requests.append(one.make(request_id=request_id))
            except RequestError as error:
                if is_alone:
                    raise
                failed.append(batch.refuse(failed_output(request_id, one.prompt, error)))
        for request, reason in self.engine_thread.add_all(requests, batch, stream=stream):
            if is_alone:
                raise reason
            failed.append(batch.refuse(failed_output(request.request_id, request.prompt, reason)))
        return failed

    def _answer(self, asked: Iterable[Asked], *, is_alone: bool, progress: bool) -> Batch:
        """Wait for all answers. An interrupt withdraws the open requests."""
        batch = Batch()
        try:
            self._submit(batch, asked, is_alone=is_alone, stream=False)
            if progress:
                _wait_with_bar(batch)
            while batch.num_open:
                batch.wait()
        finally:
            self._leave(batch)
        return batch

    def _leave(self, batch: Batch) -> None:
        """Forget the open requests, after an interrupt or an error, or when a stream was closed."""
        if batch.num_open:
            self.engine_thread.withdraw_all(batch)


def _wait_with_bar(batch: Batch) -> None:
    from jackfield.client.progress import ProgressBar  # noqa: PLC0415  # rich takes 50 ms to import

    with ProgressBar(batch.num_expected) as bar:
        bar.update(batch, ())
        while batch.num_open:
            bar.update(batch, batch.wait())
