"""Runs a kit outside of a test session: for reports, and to show that a kit finds a planted fault."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing.conformance.report import KitReport, Subject

_HOST = "from jackfield_testing.conformance.run import host\n\nTestKit = host[-1]\n"
host: list[type[ConformanceKit]] = []  # the running kit, for the module that pytest collects


class _Recorder:
    def __init__(self, kit: type[ConformanceKit]) -> None:
        self.report = KitReport(Subject(**kit.subject()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.report.add(report)


def run_kit(kit: type[ConformanceKit], select: str = "") -> KitReport:
    """Run all tests of a kit, or those that `select`, an expression of pytest's -k, names.

    Raises RuntimeError if none ran: a report without tests proves nothing.
    """
    recorder = _Recorder(kit)
    host.append(kit)
    try:
        with tempfile.TemporaryDirectory() as folder:
            module = Path(folder) / f"test_{Path(folder).name}.py"  # pytest caches modules by name
            module.write_text(_HOST)
            # It has its own base for tmp_path: parallel sessions would delete pytest's common one for each other.
            pytest.main(
                ["-c", "/dev/null", f"--rootdir={folder}", f"--basetemp={folder}/tmp", "--import-mode=importlib",
                 "-p", "no:terminal", "-p", "no:cacheprovider",
                 "-p", "no:unraisableexception",  # it collects all garbage several times, which is half of the time
                 "-k", select, str(module)],
                plugins=[recorder],
            )  # fmt: skip
    finally:
        host.pop()
    if not recorder.report.results:
        raise RuntimeError(f"no test of {kit.__name__} ran (select={select!r})")
    return recorder.report
