"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from jackfield.client.batch import Batch, as_list, failed_output, spread, spread_text
from jackfield.client.client import Client
from jackfield.config import LoadedConfig
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.prompt import ChatMessage, Prompts, is_single
from jackfield.errors import RequestError
from jackfield.request import EngineRequest, RequestOutput
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
        batch = Batch()
        try:
            self._submit(batch, prompts, sampling_params, priority, cache_salt, stream=False)
            if progress:
                _wait_with_bar(batch)
            while batch.num_open:
                batch.wait()
        finally:
            self._leave(batch)
        return batch.results

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
            yield from self._submit(
                batch, prompts, sampling_params, priority, cache_salt, stream=True
            )
            while batch.num_open:
                yield from batch.wait()
        finally:
            self._leave(batch)

    def chat_prompt(self, messages: Sequence[ChatMessage], **values: Any) -> list[int]:
        """The token ids of a conversation, to be given as a prompt; `values` go to the chat template."""
        return self.engine.input.chat_prompt(messages, **values)

    # Parts

    def _submit(
        self,
        batch: Batch,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        priority: int | Sequence[int],
        cache_salt: str | Sequence[str],
        *,
        stream: bool,
    ) -> list[RequestOutput]:
        """Make requests of prompts on this thread, then let the engine take all of them; outputs of those that failed."""
        entries = as_list(prompts)
        is_alone = is_single(prompts)
        size = len(entries)
        requests: list[EngineRequest] = []
        failed: list[RequestOutput] = []
        for prompt, params, prio, salt in zip(
            entries,
            spread("sampling_params", sampling_params, size),
            spread("priorities", priority, size),
            spread_text("cache_salts", cache_salt, size),
            strict=True,
        ):
            request_id = str(next(self._next_id))
            batch.expect(request_id)
            try:
                requests.append(
                    self.engine.input.process(
                        prompt, params, request_id=request_id, priority=prio, cache_salt=salt
                    )
                )
            except RequestError as error:
                if is_alone:
                    raise
                failed.append(batch.refuse(failed_output(request_id, prompt, error)))
        for request, reason in self.engine_thread.add_all(requests, batch, stream=stream):
            if is_alone:
                raise reason
            failed.append(batch.refuse(failed_output(request.request_id, request.prompt, reason)))
        return failed

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
