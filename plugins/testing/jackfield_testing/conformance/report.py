"""The results of the tests of kits: as data, as JSON and as a table."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from jackfield import __version__

SCHEMA = 1  # version of the JSON; it rises if a key is removed or changes its meaning
OUTCOMES = ("passed", "skipped", "not_shown", "xfailed", "failed")
NOT_SHOWN = "not shown: "  # beginning of the reason of a skip that the kit, not the plugin, causes
_WORDS = {"xfailed": "expected failures", "not_shown": "not shown"}
_MAX_REASONS = 5  # reasons of skips in the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A plugin in a report."""

    kind: str
    name: str
    distribution: str = ""  # empty: the plugin was not found
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The facts of a whole kit, so that a report can say which tests did not run and what was changed."""

    tests: tuple[str, ...]  # with parameters, or by name alone if parameters were not collected
    overridden: tuple[str, ...] = ()  # attributes of the kit that the plugin's author replaced
    facts: Mapping[str, Any] = field(default_factory=dict)  # facts of the plugin's probe


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one test."""

    outcome: str  # one of OUTCOMES
    reason: str = ""  # reason of a skip or an expected failure; error of a failure
    text: str = ""  # text of a failure, with its source lines


@dataclass(frozen=True, slots=True)
class KitReport:
    """The results of one kit on one plugin, by the name of the test with its parameters."""

    plugin: Subject
    results: dict[str, Result] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict, kw_only=True)
    kit: str = field(default="", kw_only=True)  # node id of its class, since a plugin may have two
    # None: the test that carries the facts did not run.
    whole: Whole | None = field(default=None, kw_only=True)

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
        """The tests of the kit that were left out or not reached."""
        tests = self.whole.tests if self.whole else ()
        return tuple(test for test in tests if test not in self.results)

    @property
    def is_complete(self) -> bool:
        """True if every test of the kit ran."""
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
        if report.when == "call" or result.outcome != "passed":  # a failing set-up has no call
            self.results[test] = result


def name_of(node: str, kit: str) -> str:
    """The part of a test's node id after its class. Parameters may contain colons."""
    return node.removeprefix(f"{kit}::") if kit else node.rpartition("::")[2]


def read_result(report: pytest.TestReport) -> Result:
    """The outcome of a phase, with its reason."""
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
    """The reason that the test gave for its skip."""
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
    """A line for each kit and plugin, followed by the reasons of skips."""
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
