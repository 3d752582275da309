"""What both clients share: an engine on its own thread, opened from settings, closed once."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jackfield.client.engine_thread import EngineThread
from jackfield.client.opening import load_settings
from jackfield.config import EngineConfig, LoadedConfig
from jackfield.decision import Decision
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.engine import Engine
from jackfield.engine.state import EngineStats
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.startup.blueprint import make_blueprint


class Client:
    """An open model. The engine steps on a thread of its own, and text is made on another thread."""

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        config_file: Path | str | None = None,
        settings: Mapping[str, Any] | None = None,
        plugins: Sequence[str] = (),
        adapters: Mapping[str, str | Path] | None = None,
    ) -> None:
        """`model`: folder, file, hub name, pypi:NAME==VERSION or alias. `settings`: "section.key" to value. `adapters`:
        folders by name; a request takes one with `SamplingParams(adapter=NAME)`.

        `plugins`: one-file plugins, "kind.name=module:attribute". Raises ConfigError, PluginError, ModelError or
        EngineError; after an error nothing is left running.
        """
        self._open(
            load_settings(
                model,
                dtype=dtype,
                config_file=config_file,
                settings=settings,
                plugins=plugins,
                adapters=adapters,
            )
        )

    @classmethod
    def from_config(cls, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> Self:
        """Make a client from loaded settings."""
        client = cls.__new__(cls)
        client._open(loaded, registry)
        return client

    def _open(self, loaded: LoadedConfig, registry: PluginRegistry | None = None) -> None:
        self.engine = Engine(make_blueprint(loaded, registry))
        self.engine_thread = EngineThread(self.engine)
        self._end = weakref.finalize(self, self.engine_thread.close)

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self.engine.config

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The plugins that were chosen, and why."""
        return self.engine.decisions

    def explanation(self) -> dict[str, Any]:
        """The decisions with settings, facts and memory, as `jackfield explain --json` writes them.

        Saved as JSON, it can be compared with another explanation: `jackfield explain --diff`.
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
        """Text to token ids and back; None if the model has none."""
        return self.engine.tokenizer

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may name."""
        return self.engine.adapters

    def load_adapter(self, name: str, path: Path | str) -> None:
        """Let requests name the adapter in a folder from now on. The engine must take adapters: it was started with some,
        or with select.adapters. Raises RequestError if it does not, or the adapter does not fit.
        """
        self.engine_thread.ask(lambda: self.engine.load_adapter(name, str(path)))

    def unload_adapter(self, name: str) -> None:
        """Let no request name an adapter any more. Raises RequestError if there is none, or open requests use it."""
        self.engine_thread.ask(lambda: self.engine.unload_adapter(name))

    @property
    def stats(self) -> EngineStats:
        """Figures of this moment. They are approximate, because the engine goes on working."""
        return self.engine.stats

    @property
    def is_closed(self) -> bool:
        """True after `close`, and after a failure of the engine."""
        return self.engine.is_closed

    def close(self) -> None:
        """End the engine and free everything. Callers that wait for an answer get an EngineClosedError.

        May be called twice.
        """
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
