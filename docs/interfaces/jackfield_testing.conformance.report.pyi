# Part of: jackfield_testing 0.1
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
import pytest
SCHEMA = 1
OUTCOMES = ...
NOT_SHOWN = 'not shown: '
@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    kind: str
    name: str
    distribution: str = ''
    version: str = ''
@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    tests: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
@dataclass(frozen=True, slots=True)
class Result:
    outcome: str
    reason: str = ''
    text: str = ''
@dataclass(frozen=True, slots=True)
class KitReport:
    plugin: Subject
    results: dict[str, Result] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict, kw_only=True)
    kit: str = field(default='', kw_only=True)
    whole: Whole | None = field(default=None, kw_only=True)

    @property
    def outcomes(self) -> Mapping[str, str]:
        ...

    @property
    def texts(self) -> Mapping[str, str]:
        ...

    @property
    def not_run(self) -> tuple[str, ...]:
        ...

    @property
    def is_complete(self) -> bool:
        ...

    def of(self, outcome: str) -> tuple[str, ...]:
        ...

    def counts(self) -> dict[str, int]:
        ...

    def add(self, report: pytest.TestReport) -> None:
        ...
def name_of(node: str, kit: str) -> str:
    ...
def read_result(report: pytest.TestReport) -> Result:
    ...
def reason_of_skip(report: pytest.TestReport) -> str:
    ...
def document(reports: Iterable[KitReport]) -> dict[str, Any]:
    ...
def table(reports: Iterable[KitReport]) -> Iterator[str]:
    ...
