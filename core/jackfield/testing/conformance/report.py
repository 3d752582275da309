"""What became of the tests of kits: as data, as JSON and as a table."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from jackfield import __version__

SCHEMA = 1  # of the JSON; higher where a key is removed or means something else
OUTCOMES = ("passed", "skipped", "xfailed", "failed")
_WORDS = ("passed", "skipped", "expected failures", "failed")
_MAX_REASONS = 5  # of skips, in the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A plugin in a report."""

    kind: str
    name: str
    distribution: str = ""  # empty: it was not found
    version: str = ""
    notice: str = ""  # that an adapter serves its contract, and for how long


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test."""

    outcome: str  # one of OUTCOMES
    reason: str = ""  # of a skip or an expected failure; the error of a failure
    text: str = ""  # of a failure, with its source lines


@dataclass(frozen=True, slots=True)
class KitReport:
    """The results of one plugin, by the name of the test with its parameters."""

    plugin: Subject
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def outcomes(self) -> Mapping[str, str]:
        """The outcome of each test."""
        return {test: result.outcome for test, result in self.results.items()}

    @property
    def texts(self) -> Mapping[str, str]:
        """Why a test failed or was skipped."""
        results = self.results.items()
        return {test: r.text or r.reason for test, r in results if r.outcome != "passed"}

    def of(self, outcome: str) -> tuple[str, ...]:
        """The tests with that outcome."""
        return tuple(test for test, found in self.outcomes.items() if found == outcome)

    def counts(self) -> dict[str, int]:
        """How many tests had each outcome."""
        found = Counter(self.outcomes.values())
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def add(self, report: pytest.TestReport) -> None:
        """Count what pytest reports of one phase of a test."""
        result = read_result(report)
        if report.when == "call" or result.outcome != "passed":  # a set-up that fails has no call
            self.results[report.nodeid.rpartition("::")[2]] = result


def read_result(report: pytest.TestReport) -> Result:
    """The outcome of a phase, and why."""
    if report.skipped and hasattr(report, "wasxfail"):
        return Result("xfailed", report.wasxfail.removeprefix("reason: "))
    if report.skipped:
        where = report.longrepr
        text = str(where[2] if isinstance(where, tuple) else where)
        return Result("skipped", text.removeprefix("Skipped: "))
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = report.longreprtext
        return Result("failed", crash.message if crash else text, text)
    return Result("passed")


def document(reports: Iterable[KitReport]) -> dict[str, Any]:
    """The JSON of a session."""
    return {
        "schema": SCHEMA,
        "jackfield": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "plugins": [
            {
                **asdict(report.plugin),
                "counts": report.counts(),
                "tests": [
                    {"name": test, "outcome": result.outcome, "reason": result.reason}
                    for test, result in report.results.items()
                ],
            }
            for report in reports
        ],
    }


def table(reports: Iterable[KitReport]) -> Iterator[str]:
    """A line for each plugin, and under it why tests were skipped."""
    shown = list(reports)
    names = [f"{report.plugin.kind}:{report.plugin.name}" for report in shown]
    width = max(map(len, names), default=0)
    for name, report in zip(names, shown, strict=True):
        pairs = zip(_WORDS, report.counts().values(), strict=True)
        numbers = ", ".join(f"{count} {word}" for word, count in pairs)
        where = f"{report.plugin.distribution} {report.plugin.version}".strip() or "not found"
        yield f"{name:<{width}}  {numbers}  [{where}]"
        if report.plugin.notice:
            yield f"    {report.plugin.notice}"
        yield from _folded(report)


def _folded(report: KitReport) -> Iterator[str]:
    reasons = Counter(r.reason for r in report.results.values() if r.outcome == "skipped")
    for reason, count in reasons.most_common(_MAX_REASONS):
        yield f"    {count} skipped: {reason}"
    if len(reasons) > _MAX_REASONS:
        yield f"    and {len(reasons) - _MAX_REASONS} more reasons"
