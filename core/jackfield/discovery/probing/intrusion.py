"""What an import did beyond defining things: parts of the core that are others now."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import jackfield

_NOT_WATCHED = ("jackfield.testing", "jackfield.cli", "jackfield.scaffold")  # no engine runs them


def import_core() -> None:
    """Import all of the core, so that what a plugin replaces later stands out."""
    for found in pkgutil.walk_packages(jackfield.__path__, "jackfield."):
        if not found.name.startswith(_NOT_WATCHED):
            importlib.import_module(found.name)


def snapshot() -> Mapping[str, Any]:
    """Every name that a module or class of the core defines, with what it stands for now."""
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if (name + ".").startswith("jackfield.") and not name.startswith(_NOT_WATCHED):
            found.update(_names(name, module))
    return found


def replaced(before: Mapping[str, Any]) -> list[str]:
    """Names of the core that stand for something else than they did in `before`."""
    now = snapshot()
    return [name for name, value in before.items() if now.get(name) is not value]


def _names(module_name: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        if name.startswith("__") or isinstance(value, ModuleType):
            continue
        yield f"{module_name}.{name}", value
        if isinstance(value, type) and value.__module__ == module_name:
            for member, found in list(vars(value).items()):
                if not member.startswith(("_abc_", "__abstractmethods__")):
                    yield f"{module_name}.{name}.{member}", found
