"""The pytest plugin: runs kits without a test file, and reports on all kits of a session.

It is loaded in every session if it is installed, so it imports almost nothing before it is used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jackfield_testing.conformance.report import (
    NOT_SHOWN,
    KitReport,
    Subject,
    Whole,
    document,
    name_of,
    reason_of_skip,
    table,
)

_OPTION = "--jackfield-conformance"
_REPORT = "--jackfield-report"
_STRICT = "--jackfield-strict"
# Attribute of a test; it is sent with its reports, also between processes.
_PLUGIN = "jackfield_plugin"
_WHOLE = "jackfield_kit"  # attribute of a kit's first test: all facts of the kit
_KIT = "jackfield_testing.conformance.kit"
_PLACE = "jackfield-conformance"  # the place that is shown for kits without a file


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("jackfield", "conformance of Jackfield's plugins")
    group.addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="KIND[:NAME]",
        help="run the conformance kit of a kind (attention_backends, or jackfield_torch.attention_backends) "
        "for one plugin, or for all that are installed; may be given several times",
    )
    group.addoption(_REPORT, metavar="FILE", help="write what became of all kits to FILE, as JSON")
    group.addoption(
        _STRICT,
        action="store_true",
        help="what a kit cannot show, such as a form of file that it has no sample of, is a failure",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the kits that are asked for. If no files are named, only these kits run."""
    nodes = [word for word in config.args if word.startswith(f"{_PLACE}::")]
    words = [*config.getoption(_OPTION), *dict.fromkeys(node.split("::")[1] for node in nodes)]
    kits: Sequence[type] = ()
    _check_writable(config)
    if words:
        from jackfield_testing.conformance.finding import find_kits  # heavy import

        kits = find_kits(words)
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        config.args = [word for word in config.args if word not in nodes] if named else []
    config.pluginmanager.register(_Kits(kits, nodes), "jackfield_kits")


def _check_writable(config: pytest.Config) -> None:
    """Check before the run that the report can be written, not after it."""
    path = config.getoption(_REPORT)
    if not path or hasattr(config, "workerinput"):
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        is_new = not Path(path).exists()
        Path(path).open("a").close()
        if is_new:
            Path(path).unlink()
    except OSError as error:
        raise pytest.UsageError(f"{_REPORT}: cannot write {path}: {error}") from error


class _Kits:
    """The kits of one session: those that were asked for, and those in test files."""

    def __init__(self, kits: Sequence[type], nodes: Sequence[str]) -> None:
        self._asked = kits
        self._nodes = nodes  # tests of these kits, if only some are asked for
        self._wholes: dict[str, dict[str, Any]] = {}  # by the node id of the class
        self._reports: dict[tuple[Subject, str], KitReport] = {}

    @pytest.hookimpl(tryfirst=True)  # so that -k and marks select among them
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the kits that are asked for, and mark which tests belong to a kit."""
        asked = list(_collect(session, self._asked))
        tests: dict[str, list[pytest.Item]] = {}
        for item in (*items, *asked) if _KIT in sys.modules else ():
            if _is_of_kit(item):
                tests.setdefault(_class_node(item), []).append(item)
        for node, found in tests.items():
            self._wholes[node] = _mark(node, found)
        items += [item for item in asked if self._is_asked(item.nodeid)]

    def _is_asked(self, node: str) -> bool:
        return not self._nodes or any(
            node == asked or node.startswith((f"{asked}::", f"{asked}[")) for asked in self._nodes
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Let the first test of each kit carry the facts of the whole kit."""
        for item in session.items:
            whole = self._wholes.pop(_class_node(item), None)
            if whole:
                item.user_properties.append((_WHOLE, whole))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Find the plugin's facts if a report is to be written."""
        if item.config.getoption(_REPORT):
            for key, value in item.user_properties:
                if key == _WHOLE and isinstance(value, dict):
                    value["facts"] = item.cls.facts_or_none() or {}  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """If asked for, make a failure of a test that was not shown."""
        report = yield
        if item.config.getoption(_STRICT) and report.skipped and not hasattr(report, "wasxfail"):
            reason = reason_of_skip(report)
            if reason.startswith(NOT_SHOWN):
                report.outcome = "failed"
                report.longrepr = f"{reason} ({_STRICT} was given)"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a kit's test."""
        properties = dict(report.user_properties)
        plugin, whole = properties.get(_PLUGIN), properties.get(_WHOLE)
        if not isinstance(plugin, dict):
            return
        subject, node = Subject(**plugin["subject"]), plugin["kit"]
        kept = self._reports.get((subject, node)) or KitReport(subject, kit=node)
        if isinstance(whole, dict):
            kept = replace(kept, whole=Whole(**whole))
        self._reports[subject, node] = kept
        kept.add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a line for each plugin."""
        if self._reports:
            terminalreporter.section("conformance")
            for line in table(self._reports.values()):
                terminalreporter.write_line(line)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, unless this is one of several processes that share the tests."""
        path = session.config.getoption(_REPORT)
        if path and not hasattr(session.config, "workerinput"):
            text = json.dumps(document(self._reports.values()), indent=2, default=repr)
            Path(path).write_text(text + "\n", encoding="utf-8")


def _is_of_kit(item: pytest.Item) -> bool:
    kit = getattr(item, "cls", None)
    base: type = sys.modules[_KIT].ConformanceKit
    return kit is not None and issubclass(kit, base)


def _class_node(item: pytest.Item) -> str:
    return item.parent.nodeid if item.parent else ""


def _mark(node: str, items: Sequence[pytest.Item]) -> dict[str, Any]:
    """Mark all tests of a class with their plugin. Returns the facts of the whole kit. Raises pytest.UsageError."""
    kit = items[0].cls  # type: ignore[attr-defined]
    plugin = {"subject": kit.subject(), "kit": node}
    for item in items:
        item.user_properties.append((_PLUGIN, plugin))
    collected = {item.originalname for item in items}  # type: ignore[attr-defined]
    names = [name_of(item.nodeid, node) for item in items]
    left_out = [test for test in kit.all_tests() if test not in collected]
    _check_expected(kit, names, collected)
    return {"tests": (*names, *left_out), "overridden": kit.overridden()}


def _check_expected(kit: Any, names: Sequence[str], collected: set[str]) -> None:
    """Raise for an expected failure with parameters that do not exist: nobody would notice that it never runs."""
    for key in kit.expected_failures:
        test = key.partition("[")[0]
        mine = [name for name in names if name.partition("[")[0] == test]
        is_known = key == test or key in mine or test not in collected
        # Pytest's mark for a test without parameters here.
        if not is_known and mine != [f"{test}[NOTSET]"]:
            raise pytest.UsageError(
                f"{kit.__name__}.expected_failures names {key!r}, but the kit has only: {', '.join(mine)}"
            )


def _collect(session: pytest.Session, kits: Sequence[type]) -> Iterator[pytest.Item]:
    """The tests of kits that are in no file of the session."""
    if not kits:
        return
    path = session.path / _PLACE  # no such file exists
    module = pytest.Module.from_parent(session, path=path, nodeid=path.name)
    module.obj = ModuleType("jackfield_conformance")
    for kit in kits:
        setattr(module.obj, kit.__name__, kit)
        node = pytest.Class.from_parent(module, name=kit.__name__)
        yield from (item for item in session.genitems(node) if isinstance(item, pytest.Item))
