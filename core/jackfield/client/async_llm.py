"""The client for event loops."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jackfield.client.engine_thread import EngineThread
from jackfield.client.opening import load_settings
from jackfield.config import EngineConfig, LoadedConfig
from jackfield.decision import Decision
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.engine import Engine
from jackfield.engine.prompt import Prompt
from jackfield.engine.running import EngineStats
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import make_blueprint


class AsyncLLM:
    """A model that answers many callers at once, each through an async iterator; any number of event loops.

    The engine runs on a thread of its own. Making an AsyncLLM loads the model and so takes as long as that: do it
    before the event loop starts, or with `asyncio.to_thread`.
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
        """As `LLM`."""
        self._open(
            load_settings(
                model, dtype=dtype, config_file=config_file, settings=settings, plugins=plugins
            )
        )

    @classmethod
    def from_config(cls, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> Self:
        """An AsyncLLM of settings that are loaded already."""
        llm = cls.__new__(cls)
        llm._open(loaded, registry)
        return llm

    def _open(self, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> None:
        self._engine = Engine(make_blueprint(loaded, registry))
        self._thread = EngineThread(self._engine)
        self._end = weakref.finalize(self, self._thread.close)

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self._engine.config

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was chosen, and why."""
        return self._engine.decisions

    def explanation(self) -> dict[str, Any]:
        """The same with settings, facts and memory, as `jackfield explain --json` writes it.

        Saved as JSON it can be compared with another one: `jackfield explain --diff`.
        """
        return self._engine.explanation()

    @property
    def vocab_size(self) -> int:
        """Token ids that a prompt may hold."""
        return self._engine.vocab_size

    @property
    def stats(self) -> EngineStats:
        """Figures of this moment, roughly: the engine works meanwhile."""
        return self._engine.stats

    @property
    def is_closed(self) -> bool:
        """True after `close`, and after a failure of the engine."""
        return self._engine.is_closed

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
        """Outputs of one prompt, each time that it moved, or with `final_only` one at its end.

        Raises RequestError where the request is wrong, and what ended the engine, if that happens. Cancelling the
        task or closing the iterator withdraws the request: it leaves the scheduler before the next step, and its
        blocks are free once the steps in flight are done.
        """
        stream = self._thread.open(
            prompt,
            sampling_params,
            request_id=request_id,
            priority=priority,
            cache_salt=cache_salt,
            stream_all=not final_only,
        )
        try:
            while (output := await stream.next()) is not None:
                yield output
        finally:
            stream.close()

    def close(self) -> None:
        """End the engine and free everything; open iterators raise EngineClosedError. May be called twice.

        In an event loop use `aclose`, which does not block the loop.
        """
        self._end()

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
