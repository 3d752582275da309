"""A served model: its engine, its text service, and how a request becomes a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.prompt_checks import check_prompt_length, check_vocabulary
from jackfield.errors import EngineError
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield_openai_server.engine.client import EngineClient
from jackfield_openai_server.engine.messages import Chosen, Open, Opened
from jackfield_openai_server.engine.stream import RequestStream
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.parsers import Parsers, choose_parsers
from jackfield_openai_server.protocol.common import ModelCard, SamplingFields
from jackfield_openai_server.text import TextService


class ServedModel:
    """One model with its names."""

    def __init__(
        self,
        names: tuple[str, ...],
        opening: Open,
        options: ServeOptions,
        registry: Callable[[], PluginRegistry],  # called once, on a thread, because it takes long
        adapters: Iterable[str] = (),  # names of adapters, each of which is a model for clients
    ) -> None:
        self.names = names
        self.adapters = list(adapters)
        self.engine = EngineClient(opening)
        self.is_loaded = False  # True also while it is being loaded
        self._opening = opening
        self.created = int(time.time())
        self.parsers = Parsers()
        self._options = options
        self._registry = registry
        self._text: TextService | None = None

    async def start(self) -> None:
        """Start the engine, and open the tokenizer while it loads. Raises the error that prevents the engine."""
        self.is_loaded = True
        chosen = await self.engine.begin()
        text, self.parsers = await asyncio.to_thread(self._open_text, chosen)
        await self.engine.ready()
        self._text = text  # set last: from now on requests are accepted

    async def close(self) -> None:
        """End the engine."""
        await self.engine.close()
        if self._text is not None:
            self._text.close()

    async def unload(self) -> None:
        """End the engine, so that `start` can make another one."""
        await self.close()
        self._text, self.is_loaded = None, False
        self.engine = EngineClient(self._opening)

    @property
    def is_ready(self) -> bool:
        """True while requests are accepted."""
        return self.engine.is_ready and self._text is not None

    @property
    def text(self) -> TextService:
        """The text service. Raises ApiError 503 while the model loads."""
        if self._text is None:
            raise self._not_ready()
        return self._text

    @property
    def facts(self) -> Opened:
        """The facts that the engine sent. Raises ApiError 503 while the model loads."""
        if self.engine.opened is None:
            raise self._not_ready()
        return self.engine.opened

    def _open_text(self, chosen: Chosen) -> tuple[TextService, Parsers]:
        options = self._options
        text = TextService(chosen, options.chat_template, options.template_timeout_s)
        found = ChatFormat(architecture=chosen.architecture, template=text.template)
        words = (options.tool_parser, options.reasoning_parser)
        registry = self._registry()
        try:
            return text, choose_parsers(registry, found, *words)
        finally:
            registry.end_probes()

    def cards(self) -> list[ModelCard]:
        """A card for each name."""
        opened = self.engine.opened
        root, length = (opened.model, opened.max_length) if opened else ("", 0)
        card = partial(ModelCard, created=self.created, root=root, max_model_len=length)
        adapted = [card(id=name, parent=self.names[0]) for name in self.adapters]
        return [*(card(id=name) for name in self.names), *adapted]

    async def load_adapter(self, name: str, path: str) -> None:
        """Let requests name an adapter as their model. Raises RequestError if the engine refuses."""
        await self.engine.change_adapter(name, path)
        self.adapters.append(name)

    async def unload_adapter(self, name: str) -> None:
        """Let no request name it any more. Raises RequestError if requests still use it."""
        await self.engine.change_adapter(name, "")
        self.adapters.remove(name)

    def submit(
        self,
        prompt: list[int],
        sampling: Mapping[str, Any],
        request: SamplingFields,
        *,
        priority: int,
        salt: str,  # put before the request's own salt
        trace_parent: str | None = None,
    ) -> RequestStream:
        """Send a request to the engine. Raises ApiError 503 without an engine, RequestError if the prompt is too long."""
        if (num_kept := self.num_kept(request.truncate_prompt_tokens)) is not None:
            prompt = prompt[-num_kept:]
        self._check(prompt)
        try:
            return self.engine.submit(
                prompt,
                sampling,
                lambda params: self.text.maker(prompt, params),
                priority=priority,
                cache_salt=salt + (request.cache_salt or ""),
                stream=bool(request.stream),
                trace_parent=trace_parent,
            )
        except EngineError:
            raise self._not_ready() from None

    def submit_pooling(
        self,
        prompt: list[int],
        pooling: Mapping[str, Any],
        *,
        second_text: int | None,
        priority: int,
        salt: str,
    ) -> RequestStream:
        """Send a request for a vector to the engine. Raises as `submit`."""
        self._check(prompt, has_output=False)
        try:
            return self.engine.submit_pooling(
                prompt, pooling, second_text=second_text, priority=priority, cache_salt=salt
            )
        except EngineError:
            raise self._not_ready() from None

    def _check(self, prompt: list[int], *, has_output: bool = True) -> None:
        """Check a prompt before it is sent to the engine, where it would delay a step. Raises RequestError."""
        check_prompt_length(len(prompt), self.facts.max_length, has_output=has_output)
        check_vocabulary("the prompt", prompt, self.facts.vocab_size)

    def num_kept(self, limit: int | None) -> int | None:
        """How many last tokens of a prompt to keep, by `limit`; -1 means as many as the model allows, None all."""
        if limit is None:
            return None
        return self.facts.max_length - 1 if limit < 1 else limit

    def _not_ready(self) -> ApiError:
        why = self.engine.error
        text = f"the model is not ready: {why or 'it is loading'}"
        return ApiError(503, text, code="model_not_ready", retry_after_s=5)


class ServedModels:
    """All models of a server, by name."""

    def __init__(self, models: tuple[ServedModel, ...]) -> None:
        self.all = models
        self._by_name = {name: model for model in models for name in model.names}

    def find(self, name: str | None) -> ServedModel:
        """The model with that name; without a name, the first one. Raises ApiError 404."""
        if not name:
            return self.all[0]
        found = self._by_name.get(name) or self.find_adapted(name)
        if found is None:
            names = ", ".join((*self._by_name, *(a for model in self.all for a in model.adapters)))
            text = f"the model {name!r} is not served here; served: {names}"
            raise ApiError(404, text, param="model", code="model_not_found")
        return found

    def find_adapted(self, name: str) -> ServedModel | None:
        """The model that has an adapter with that name."""
        return next((model for model in self.all if name in model.adapters), None)
