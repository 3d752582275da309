# Part of: jackfield_testing 0.1
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import NoReturn
import pytest
from jackfield.activation import PluginRef
from jackfield.discovery.registry import PluginRegistry
from jackfield.interfaces.card import Facts
HEAVY = ...
class ConformanceKit:
    kind: ClassVar[str] = ''
    name: ClassVar[str] = ''
    plugins: ClassVar[tuple[str, ...]] = ()
    import_s: ClassVar[float] = 2.0
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        ...

    @classmethod
    def kit(cls) -> type[ConformanceKit]:
        ...

    @classmethod
    def all_tests(cls) -> tuple[str, ...]:
        ...

    @classmethod
    def overridden(cls) -> tuple[str, ...]:
        ...

    @pytest.fixture
    def card(self) -> Any:
        ...

    @classmethod
    @cache
    def registry(cls) -> PluginRegistry:
        ...

    @classmethod
    def ref(cls) -> PluginRef:
        ...

    @classmethod
    def load(cls) -> Any:
        ...

    @classmethod
    def subject(cls) -> dict[str, str]:
        ...

    def facts(self) -> Facts:
        ...

    @classmethod
    def facts_or_none(cls) -> Facts | None:
        ...

    def refusal(self, need: Any) -> str:
        ...

    def require(self, need: Any) -> None:
        ...

    def require_sample(self, need: Any, folder: Path) -> None:
        ...

    def not_shown(self, reason: str) -> NoReturn:
        ...

    def test_it_can_be_loaded(self) -> None:
        ...

    def test_importing_it_loads_no_tensor_library(self) -> None:
        ...

    def test_importing_it_starts_no_thread(self) -> None:
        ...

    def test_importing_it_takes_no_time(self) -> None:
        ...

    @classmethod
    @cache
    def imported(cls) -> tuple[list[str], list[str], float, float]:
        ...
def run_fresh(script: str, argument: object, data: bytes=b'') -> subprocess.CompletedProcess[bytes]:
    ...
