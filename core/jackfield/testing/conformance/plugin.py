"""The pytest plugin: runs kits without a test file, and reports on all kits of a session.

It is loaded in every session where Jackfield is installed, so it imports next to nothing before it is asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from jackfield.testing.conformance.report import KitReport, Subject, document, table

_OPTION = "--jackfield-conformance"
_PROPERTY = "jackfield_plugin"  # of a test: travels with its reports, also between processes
_KIT = "jackfield.testing.conformance.kit"


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
    group.addoption(
        "--jackfield-report", metavar="FILE", help="write what became of all kits to FILE, as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the kits that are asked for; where no files are named, they are all that runs."""
    words = config.getoption(_OPTION)
    kits: Sequence[type] = ()
    if words:
        from jackfield.testing.conformance.finding import find_kits  # noqa: PLC0415  # heavy

        kits = find_kits(words)
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []
    config.pluginmanager.register(_Kits(kits), "jackfield_kits")


class _Kits:
    """The kits of one session: those that were asked for, and those of test files."""

    def __init__(self, kits: Sequence[type]) -> None:
        self._asked = kits
        self._reports: dict[Subject, KitReport] = {}

    @pytest.hookimpl(tryfirst=True)  # so that -k and marks select among them
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the kits that are asked for, and mark which tests belong to a kit."""
        items += _collect(session, self._asked)
        loaded = sys.modules.get(_KIT)
        for item in items if loaded else ():
            kit = getattr(item, "cls", None)
            if kit is not None and issubclass(kit, loaded.ConformanceKit):  # type: ignore[union-attr]
                item.user_properties.append((_PROPERTY, kit.subject()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what became of a kit's test."""
        for key, value in report.user_properties:
            if key == _PROPERTY and isinstance(value, dict):
                subject = Subject(**value)
                self._reports.setdefault(subject, KitReport(subject)).add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a line for each plugin."""
        if self._reports:
            terminalreporter.section("conformance")
            for line in table(self._reports.values()):
                terminalreporter.write_line(line)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, unless this is one of several processes that share the tests."""
        path = session.config.getoption("--jackfield-report")
        if path and not hasattr(session.config, "workerinput"):
            text = json.dumps(document(self._reports.values()), indent=2)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text + "\n", encoding="utf-8")


def _collect(session: pytest.Session, kits: Sequence[type]) -> Iterator[pytest.Item]:
    """The tests of kits that stand in no file of the session."""
    if not kits:
        return
    path = session.path / "jackfield-conformance"  # where they are shown to be; there is no file
    module = pytest.Module.from_parent(session, path=path, nodeid=path.name)
    module.obj = ModuleType("jackfield_conformance")
    for kit in kits:
        setattr(module.obj, kit.__name__, kit)
        node = pytest.Class.from_parent(module, name=kit.__name__)
        yield from (item for item in session.genitems(node) if isinstance(item, pytest.Item))
