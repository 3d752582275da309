# Part of: jackfield 0.1
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
import pytest
SCHEMA = 1
OUTCOMES = ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    kind: str
    name: str
    distribution: str = ''
    version: str = ''
    notice: str = ''
@dataclass(frozen=True, slots=True)
class Result:
    outcome: str
    reason: str = ''
    text: str = ''
@dataclass(frozen=True, slots=True)
class KitReport:
    plugin: Subject
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def outcomes(self) -> Mapping[str, str]:
        ...

    @property
    def texts(self) -> Mapping[str, str]:
        ...

    def of(self, outcome: str) -> tuple[str, ...]:
        ...

    def counts(self) -> dict[str, int]:
        ...

    def add(self, report: pytest.TestReport) -> None:
        ...
def read_result(report: pytest.TestReport) -> Result:
    ...
def document(reports: Iterable[KitReport]) -> dict[str, Any]:
    ...
def table(reports: Iterable[KitReport]) -> Iterator[str]:
    ...
