"""Runs a kit outside of a test session: for reports, and to show that a kit notices a planted fault."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing.conformance.report import KitReport, Subject

_HOST = "from jackfield_testing.conformance.run import host\n\nTestKit = host[-1]\n"
host: list[type[ConformanceKit]] = []  # the kit that runs, for the module that pytest collects


class _Recorder:
    def __init__(self, kit: type[ConformanceKit]) -> None:
        self.report = KitReport(Subject(**kit.subject()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.report.add(report)


def run_kit(kit: type[ConformanceKit], select: str = "") -> KitReport:
    """All tests of a kit, or those that `select`, an expression of pytest's -k, names.

    Raises RuntimeError if none ran: a report without tests proves nothing.
    """
    recorder = _Recorder(kit)
    host.append(kit)
    try:
        with tempfile.TemporaryDirectory() as folder:
            module = Path(folder) / f"test_{Path(folder).name}.py"  # pytest keeps modules by name
            module.write_text(_HOST)
            # Its own base for tmp_path: sessions side by side clear away pytest's common one under each other.
            pytest.main(
                ["-c", "/dev/null", f"--rootdir={folder}", f"--basetemp={folder}/tmp", "--import-mode=importlib",
                 "-p", "no:terminal", "-p", "no:cacheprovider",
                 "-p", "no:unraisableexception",  # collects all garbage several times: half of the time
                 "-k", select, str(module)],
                plugins=[recorder],
            )  # fmt: skip
    finally:
        host.pop()
    if not recorder.report.results:
        raise RuntimeError(f"no test of {kit.__name__} ran (select={select!r})")
    return recorder.report
