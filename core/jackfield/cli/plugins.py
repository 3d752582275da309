"""`jackfield plugins`: what is installed, and whether it works."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from jackfield.activation import PluginRef
from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.tables import print_table
from jackfield.config import PluginSettings
from jackfield.discovery.failure import PluginFailure
from jackfield.discovery.printable import printable
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import LOCK_FILE
from jackfield.errors import ConfigError, PluginLoadError
from jackfield.interfaces.card import Card
from jackfield.interfaces.command import Command

_STATUS = {  # code of a failure -> word in the table
    "kind": "not served",
    "load": "does not load",
    "probe": "does not work here",
    "harm": "harmful",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A plugin and its status: ok, left out, or the code of its failure."""

    plugin: PluginRef
    status: str


class PluginsCommand(Command):
    """Lists plugins, or checks them. Listing imports only the platforms' cards, which name the kinds of their runtimes.

    Checking imports everything.
    """

    summary = "list what is installed, check that all of it loads, or lock it"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "action",
            nargs="?",
            choices=("list", "check", "lock"),
            default="list",
            help="check also loads and probes every plugin, status 1 if one has a problem; "
            "lock writes what is installed to a file",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")
        _add_lock_arguments(parser)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the table, then the problems; or write the lock."""
        if arguments.action == "lock":
            from jackfield.cli.plugin_lock import run_lock

            return run_lock(arguments)
        if arguments.check or arguments.model:
            given = "--check" if arguments.check else f"the model {arguments.model!r}"
            raise ConfigError(
                f"{given} belongs to `jackfield plugins lock`, got it with `{arguments.action}`. To load and probe "
                "all plugins write `jackfield plugins check`"
            )
        settings = load_from_arguments(arguments).config.plugins
        registry = PluginRegistry.scan(settings)
        registry.serve_all()
        is_check = arguments.action == "check"
        if is_check:
            check_all(registry)
        rows, problems = rows_of(registry), problems_of(registry, settings, is_check=is_check)
        if arguments.json:
            print(json.dumps(_document(rows, problems), indent=2))
        else:
            _print(rows, problems)
        return 1 if is_check and any(problem.is_fault for problem in problems) else 0


def _add_lock_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `lock` alone."""
    group = parser.add_argument_group(f"lock (plugins.lock, or {LOCK_FILE} in the current folder)")
    group.add_argument(
        "model",
        nargs="?",
        help="lock also what is selected for this model on this machine, beside what is locked for others",
    )
    group.add_argument(
        "--check",
        action="store_true",
        help="write nothing; status 2 and the differences, if any, for MODEL or else for every locked model",
    )


def check_all(registry: PluginRegistry) -> None:
    """Load and probe every served plugin; the registry keeps the failures."""
    for kind in registry.kinds:
        for ref in registry.refs(kind.name):
            try:
                if isinstance(registry.card(ref), Card):
                    registry.facts(ref)
            except PluginLoadError:
                continue


def problems_of(
    registry: PluginRegistry, settings: PluginSettings, *, is_check: bool
) -> tuple[PluginFailure, ...]:
    """Failures of installed plugins, and other entries in [plugins] that prevent an engine."""
    found = registry.problems
    if is_check:
        found += registry.required_failures(settings.required)
    if settings.lock is not None:
        from jackfield.discovery.lock_file import lock_failures

        found += lock_failures(settings.lock, registry.all)
    return found


def rows_of(registry: PluginRegistry) -> list[Row]:
    """Every installed plugin with its status."""
    failed = {(p.kind, p.name, p.distribution): p.code for p in registry.problems}
    clashing = {(p.kind, p.name) for p in registry.problems if p.code == "conflict"}

    def status(ref: PluginRef) -> str:
        if (ref.kind, ref.name) in clashing:
            return "conflict"
        return failed.get((ref.kind, ref.name, ref.distribution), "ok")

    rows = [Row(ref, status(ref)) for ref in registry.all]
    return rows + [Row(ref, "left out") for ref in registry.left_out]


def _document(rows: Iterable[Row], problems: Iterable[PluginFailure]) -> dict[str, object]:
    return {
        "plugins": [{**asdict(row.plugin), "status": row.status} for row in rows],
        "problems": [asdict(problem) for problem in problems],
    }


def _print(rows: Sequence[Row], problems: Iterable[PluginFailure]) -> None:
    print_table(("kind", "name", "distribution", "version", "status"), [_cells(r) for r in rows])
    for problem in problems:
        print(f"\n{problem}")
        if problem.traceback:
            print(printable(problem.traceback.rstrip()))


def _cells(row: Row) -> tuple[str, ...]:
    ref = row.plugin
    status = _STATUS.get(row.status, row.status)
    return f"{ref.kind}.v{ref.major}", ref.name, ref.distribution, ref.version, status
