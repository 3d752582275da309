"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jackfield.client.batch import Batch, as_list, failed_output, spread, spread_text
from jackfield.client.opening import load_settings
from jackfield.config import EngineConfig, LoadedConfig
from jackfield.decision import Decision
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.engine import Engine
from jackfield.engine.prompt import ChatMessage, Prompts, is_single
from jackfield.errors import RequestError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import make_blueprint


class LLM:
    """A model that answers prompts; calls return when the answers are there. For one thread at a time.

    A prompt is text, a list of token ids, or a conversation (a list of messages with role and content). A prompt
    given alone, not in a list, raises RequestError where it is wrong; in a list only that prompt fails: its output
    has finish_reason "error" and says why in `outputs[0].error`. The `request_id`s of an LLM count its prompts
    from 0, so within one call they rise in the order of the prompts.

    A worker that fails raises WorkerError with the worker's own traceback, and ends this LLM.
    """

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        config_file: Path | str | None = None,
        settings: Mapping[str, Any] | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        """`model`: folder, file, hub name, pypi:NAME==VERSION or alias. `settings`: "section.key" to value.

        `plugins`: one-file plugins, "kind.name=module:attribute". Raises ConfigError, PluginError, ModelError or
        EngineError; nothing is left running then.
        """
        self._open(
            load_settings(
                model, dtype=dtype, config_file=config_file, settings=settings, plugins=plugins
            )
        )

    @classmethod
    def from_config(cls, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> Self:
        """An LLM of settings that are loaded already."""
        llm = cls.__new__(cls)
        llm._open(loaded, registry)
        return llm

    def _open(self, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> None:
        self.engine = Engine(make_blueprint(loaded, registry))
        self._batches: dict[str, Batch] = {}  # by the id of an open request
        self._next_id = count()

    # What is there

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self.engine.config

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was chosen, and why."""
        return self.engine.decisions

    def explanation(self) -> dict[str, Any]:
        """The same with settings, facts and memory, as `jackfield explain --json` writes it.

        Saved as JSON it can be compared with another one: `jackfield explain --diff`.
        """
        return self.engine.explanation()

    @property
    def vocab_size(self) -> int:
        """Token ids that a prompt may hold."""
        return self.engine.vocab_size

    @property
    def files(self) -> ModelFiles:
        """The model on this machine."""
        return self.engine.files

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Text to token ids and back; None where the model has none."""
        return self.engine.tokenizer

    # What it does

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
        batch = self._submit(prompts, sampling_params, priority, cache_salt, stream=False)
        try:
            if progress:
                self._finish_with_bar(batch)
            while batch.open_ids:
                self._advance()
        finally:
            self._withdraw(batch)
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

        Nothing happens before the first output is asked for. Closing the iterator withdraws what is open.
        """
        batch = self._submit(prompts, sampling_params, priority, cache_salt, stream=True)
        try:
            while True:
                while batch.new:
                    yield batch.new.popleft()
                if not batch.open_ids:
                    return
                self._advance()
        finally:
            self._withdraw(batch)

    def chat_prompt(self, messages: Sequence[ChatMessage], **values: Any) -> list[int]:
        """The token ids of a conversation, to be given as a prompt; `values` go to the chat template."""
        return self.engine.input.chat_prompt(messages, **values)

    def close(self) -> None:
        """End the workers and free everything; may be called twice."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Parts

    def _submit(
        self,
        prompts: Prompts,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        priority: int | Sequence[int],
        cache_salt: str | Sequence[str],
        *,
        stream: bool,
    ) -> Batch:
        batch = Batch()
        entries = as_list(prompts)
        is_alone = is_single(prompts)
        size = len(entries)
        for prompt, params, prio, salt in zip(
            entries,
            spread("sampling_params", sampling_params, size),
            spread("priorities", priority, size),
            spread_text("cache_salts", cache_salt, size),
            strict=True,
        ):
            request_id = str(next(self._next_id))
            try:
                request = self.engine.input.process(
                    prompt, params, request_id=request_id, priority=prio, cache_salt=salt
                )
                self.engine.add_request(request, stream=stream)
            except RequestError as error:
                if is_alone:
                    raise
                batch.receive(failed_output(request_id, prompt, error))
            else:
                batch.add(request_id)
                self._batches[request_id] = batch
        return batch

    def _advance(self) -> None:
        """One step; outputs go to the calls that wait for them, which can be several where streams are open."""
        for output in self.engine.step():
            batch = self._batches[output.request_id]
            batch.receive(output)
            if output.finished:
                del self._batches[output.request_id]

    def _finish_with_bar(self, batch: Batch) -> None:
        from jackfield.client.progress import ProgressBar  # noqa: PLC0415  # rich takes 50 ms to import

        with ProgressBar(batch.num_finished + len(batch.open_ids)) as bar:
            while batch.open_ids:
                self._advance()
                bar.update(batch)

    def _withdraw(self, batch: Batch) -> None:
        """Forget what is still open, after an interrupt or where a stream was closed."""
        for request_id in batch.open_ids:
            del self._batches[request_id]
            if not self.engine.is_closed:
                self.engine.abort(request_id)
