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
    """A model that answers prompts; calls return when the answers are there.

    A prompt is text, a list of token ids, or a conversation (a list of messages with role and content). A prompt
    given alone, not in a list, raises RequestError if it is wrong; in a list only that prompt fails: its output
    has finish_reason "error" and says why in `outputs[0].error`. The `request_id`s of an LLM count its prompts
    from 0, so within one call they rise in the order of the prompts.

    A worker that fails raises WorkerError with the worker's own traceback, and ends this LLM.
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
        """Answer all prompts; the outputs are in their order, also for a prompt given alone.

        `sampling_params`, `priority` (lower runs first, with select.scheduler = "priority") and `cache_salt`
        (prompts share cached prefixes only under one salt) are one for all, or a list of one for each.
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
        """Answer all prompts, with an output each time that one of them moved; `delta` is what is new.

        `SamplingParams.output_kind` says what an output holds: all so far, what is new, or everything once, at the end.
        Nothing happens before the first output is asked for; then the engine does not wait for the reader. Closing
        the iterator withdraws what is open.
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
        """The vector of each prompt, in their order, as the model's authors want it where `pooling_params` leave it open.

        `prompt_name` names one of the texts that the model's files say to put before a text, such as "query". What is not
        said anywhere is the mean of all tokens for an encoder and the last token for a decoder, normalised;
        `PoolingOutput.pooling` says what was done. In a list a prompt that is wrong fails alone: `error` says why.
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
        """The scores of each prompt by the model's classification head: probabilities, or with `activation` False logits."""
        params = PoolingParams(output=CLASSES, activation=activation)
        return self.embed(prompts, params, prompt_name=None, progress=progress)

    def score(
        self,
        queries: str | Sequence[str],
        documents: str | Sequence[str],
        *,
        progress: bool = False,
    ) -> list[ScoreOutput]:
        """How well each document fits its query: one query for all documents, or one for each.

        A model with a classification head of one class reads both texts at once (a reranker); of any other the vectors are
        compared by their cosine, behind the prompts "query" and "document" where its files have such.
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
        """The token ids of a conversation, to be given as a prompt; `values` go to the chat template."""
        return self.engine.input.chat_prompt(messages, **values)

    # Parts

    def _generations(
        self,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        priority: int | Sequence[int],
        cache_salt: str | Sequence[str],
    ) -> Iterator[Asked]:
        """What makes a request of each prompt, once it has an id."""
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
        """Make requests of prompts on this thread, then let the engine take all of them; outputs of those that failed."""
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
        """Wait for all of them. An interrupt withdraws what is open."""
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
        """Forget what is still open, after an interrupt or an error, or where a stream was closed."""
        if batch.num_open:
            self.engine_thread.withdraw_all(batch)


def _wait_with_bar(batch: Batch) -> None:
    from jackfield.client.progress import ProgressBar  # noqa: PLC0415  # rich takes 50 ms to import

    with ProgressBar(batch.num_expected) as bar:
        bar.update(batch, ())
        while batch.num_open:
            bar.update(batch, batch.wait())
