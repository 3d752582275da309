"""Runs a kit outside of a test session: for reports, and to show that a kit notices a planted fault."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jackfield.testing.conformance.kit import ConformanceKit

_HOST = "from jackfield.testing.conformance.run import host\n\nTestKit = host[-1]\n"
host: list[type[ConformanceKit]] = []  # the kit that runs, for the module that pytest collects


@dataclass(frozen=True, slots=True)
class KitReport:
    """What became of each test: "passed", "failed", "skipped" or "xfailed", by its name with parameters."""

    kind: str
    name: str
    outcomes: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)  # why a test failed or was skipped

    def of(self, outcome: str) -> tuple[str, ...]:
        """The tests with that outcome."""
        return tuple(test for test, found in self.outcomes.items() if found == outcome)


class _Recorder:
    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2]
        outcome = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
        if report.when == "call" or outcome != "passed":  # a set-up that fails has no call
            self.outcomes[name] = outcome
        if outcome != "passed":
            self.texts[name] = report.longreprtext or str(report.longrepr)


def run_kit(kit: type[ConformanceKit], select: str = "") -> KitReport:
    """All tests of a kit, or those that `select`, an expression of pytest's -k, names.

    Raises RuntimeError where none ran: a report without tests proves nothing.
    """
    recorder = _Recorder()
    host.append(kit)
    try:
        with tempfile.TemporaryDirectory() as folder:
            module = Path(folder) / f"test_{Path(folder).name}.py"  # pytest keeps modules by name
            module.write_text(_HOST)
            pytest.main(
                ["-c", "/dev/null", f"--rootdir={folder}", "--import-mode=importlib",
                 "-p", "no:terminal", "-p", "no:cacheprovider", "-k", select, str(module)],
                plugins=[recorder],
            )  # fmt: skip
    finally:
        host.pop()
    if not recorder.outcomes:
        raise RuntimeError(f"no test of {kit.__name__} ran (select={select!r})")
    return KitReport(kit.kind, kit.name, recorder.outcomes, recorder.texts)
