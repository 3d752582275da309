# Part of: jackfield 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Self
from jackfield.config import EngineConfig
from jackfield.config import LoadedConfig
from jackfield.decision import Decision
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.state import EngineStats
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer
class Client:

    def __init__(self, model: str, *, dtype: str='auto', config_file: Path | str | None=None, settings: Mapping[str, Any] | None=None, plugins: Sequence[str]=(), adapters: Mapping[str, str | Path] | None=None) -> None:
        ...

    @classmethod
    def from_config(cls, loaded: LoadedConfig, registry: PluginRegistry | None=None) -> Self:
        ...

    @property
    def config(self) -> EngineConfig:
        ...

    @property
    def decisions(self) -> tuple[Decision, ...]:
        ...

    def explanation(self) -> dict[str, Any]:
        ...

    @property
    def vocab_size(self) -> int:
        ...

    @property
    def files(self) -> ModelFiles:
        ...

    @property
    def tokenizer(self) -> Tokenizer | None:
        ...

    @property
    def adapters(self) -> tuple[str, ...]:
        ...

    def load_adapter(self, name: str, path: Path | str) -> None:
        ...

    def unload_adapter(self, name: str) -> None:
        ...

    @property
    def stats(self) -> EngineStats:
        ...

    @property
    def is_closed(self) -> bool:
        ...

    def close(self) -> None:
        ...

    def __enter__(self) -> Self:
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...
