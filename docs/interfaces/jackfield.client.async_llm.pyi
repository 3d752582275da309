# Part of: jackfield 0.1
from collections.abc import AsyncGenerator
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
from jackfield.engine.prompt import Prompt
from jackfield.engine.running import EngineStats
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams
class AsyncLLM:

    def __init__(self, model: str, *, dtype: str='auto', config_file: Path | str | None=None, settings: Mapping[str, Any] | None=None, plugins: Sequence[str]=()) -> None:
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
    def stats(self) -> EngineStats:
        ...

    @property
    def is_closed(self) -> bool:
        ...

    async def generate(self, prompt: Prompt, sampling_params: SamplingParams | None=None, *, request_id: str | None=None, priority: int=0, cache_salt: str='', final_only: bool=False) -> AsyncGenerator[RequestOutput, None]:
        ...

    def close(self) -> None:
        ...

    async def aclose(self) -> None:
        ...

    def __enter__(self) -> Self:
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...

    async def __aenter__(self) -> Self:
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...
