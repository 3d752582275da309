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
OUTCOMES = ("passed", "skipped", "not_shown", "xfailed", "failed")
NOT_SHOWN = "not shown: "  # how the reason of a skip begins that is the kit's, not the plugin's
_WORDS = {"xfailed": "expected failures", "not_shown": "not shown"}
_MAX_REASONS = 5  # of skips, in the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A plugin in a report."""

    kind: str
    name: str
    distribution: str = ""  # empty: it was not found
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A kit as it stands, so that a report can say what did not run and what was changed."""

    tests: tuple[str, ...]  # with parameters; by name alone where not even those were collected
    overridden: tuple[str, ...] = ()  # of the kit, by the plugin's author
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the plugin's probe


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test."""

    outcome: str  # one of OUTCOMES
    reason: str = ""  # of a skip or an expected failure; the error of a failure
    text: str = ""  # of a failure, with its source lines


@dataclass(frozen=True, slots=True)
class KitReport:
    """The results of one kit on one plugin, by the name of the test with its parameters."""

    plugin: Subject
    results: dict[str, Result] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict, kw_only=True)
    kit: str = field(default="", kw_only=True)  # the node of its class: a plugin may have two
    whole: Whole | None = field(default=None, kw_only=True)  # None: the test that tells did not run

    @property
    def outcomes(self) -> Mapping[str, str]:
        """The outcome of each test."""
        return {test: result.outcome for test, result in self.results.items()}

    @property
    def texts(self) -> Mapping[str, str]:
        """Why a test failed or was skipped."""
        results = self.results.items()
        return {test: r.text or r.reason for test, r in results if r.outcome != "passed"}

    @property
    def not_run(self) -> tuple[str, ...]:
        """The tests of the kit that were left out or never reached."""
        tests = self.whole.tests if self.whole else ()
        return tuple(test for test in tests if test not in self.results)

    @property
    def is_complete(self) -> bool:
        """Whether every test of the kit ran."""
        return self.whole is not None and not self.not_run

    def of(self, outcome: str) -> tuple[str, ...]:
        """The tests with that outcome."""
        return tuple(test for test, found in self.outcomes.items() if found == outcome)

    def counts(self) -> dict[str, int]:
        """How many tests had each outcome."""
        found = Counter(self.outcomes.values())
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def add(self, report: pytest.TestReport) -> None:
        """Count what pytest reports of one phase of a test."""
        test = name_of(report.nodeid, self.kit)
        self.durations_s[test] = self.durations_s.get(test, 0.0) + report.duration
        result = read_result(report)
        if report.when == "call" or result.outcome != "passed":  # a set-up that fails has no call
            self.results[test] = result


def name_of(node: str, kit: str) -> str:
    """The part of a test's node below its class; parameters may hold colons."""
    return node.removeprefix(f"{kit}::") if kit else node.rpartition("::")[2]


def read_result(report: pytest.TestReport) -> Result:
    """The outcome of a phase, and why."""
    if report.skipped and hasattr(report, "wasxfail"):
        return Result("xfailed", report.wasxfail.removeprefix("reason: "))
    if report.skipped:
        reason = reason_of_skip(report)
        outcome = "not_shown" if reason.startswith(NOT_SHOWN) else "skipped"
        return Result(outcome, reason.removeprefix(NOT_SHOWN))
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = report.longreprtext
        return Result("failed", crash.message if crash else text, text)
    return Result("passed")


def reason_of_skip(report: pytest.TestReport) -> str:
    """What the test said when it was skipped."""
    where = report.longrepr
    text = str(where[2] if isinstance(where, tuple) else where)
    return text.removeprefix("Skipped: ")


def document(reports: Iterable[KitReport]) -> dict[str, Any]:
    """The JSON of a session."""
    return {
        "schema": SCHEMA,
        "jackfield": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "plugins": [_entry(report) for report in reports],
    }


def _entry(report: KitReport) -> dict[str, Any]:
    whole = report.whole or Whole(tests=())
    return {
        **asdict(report.plugin),
        "kit": report.kit,
        "complete": report.is_complete,
        "not_run": list(report.not_run),
        "overridden": list(whole.overridden),
        "facts": dict(whole.facts),
        "counts": report.counts(),
        "tests": [
            {
                "name": test,
                "outcome": result.outcome,
                "reason": result.reason,
                "duration_s": round(report.durations_s.get(test, 0.0), 6),
            }
            for test, result in report.results.items()
        ],
    }


def table(reports: Iterable[KitReport]) -> Iterator[str]:
    """A line for each kit and plugin, and under it why tests were skipped."""
    shown = list(reports)
    names = [f"{report.plugin.kind}:{report.plugin.name}" for report in shown]
    width = max(map(len, names), default=0)
    for name, report in zip(names, shown, strict=True):
        where = f"{report.plugin.distribution} {report.plugin.version}".strip() or "not found"
        kit = f"  {report.kit}" if names.count(name) > 1 else ""
        yield f"{name:<{width}}  {_numbers(report)}  [{where}]{kit}"
        yield from _folded(report, "not_shown")
        yield from _folded(report, "skipped")


def _numbers(report: KitReport) -> str:
    counts = report.counts()
    parts = [
        f"{count} {_WORDS.get(outcome, outcome)}"
        for outcome, count in counts.items()
        if count or outcome != "not_shown"
    ]
    if report.not_run:
        parts.append(f"{len(report.not_run)} not run")
    elif not report.is_complete:
        parts.append("cut short")
    return ", ".join(parts)


def _folded(report: KitReport, outcome: str) -> Iterator[str]:
    reasons = Counter(r.reason for r in report.results.values() if r.outcome == outcome)
    word = _WORDS.get(outcome, outcome)
    for reason, count in reasons.most_common(_MAX_REASONS):
        yield f"    {count} {word}: {reason}"
    if len(reasons) > _MAX_REASONS:
        yield f"    and {len(reasons) - _MAX_REASONS} more reasons"
