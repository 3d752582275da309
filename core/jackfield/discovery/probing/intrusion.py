"""What a plugin did beyond defining things: parts of the core, of a runtime or of Python that are others now."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any

_CORE = "jackfield"
_RUNTIMES = "jackfield_"  # what their packages begin with
# Of Python, what everything stands on and what patches are known for; to compare all of it takes longer than a trial.
_PYTHON = (
    *("builtins", "importlib", "io", "json", "logging", "os", "pathlib", "pickle", "select"),
    *("signal", "socket", "struct", "subprocess", "sys", "tempfile", "threading", "time"),
)
# What Python itself adds to a module or a class when it is used.
_LAZY = ("_abc_", "__abstractmethods__", "__annotations", "__annotate", "__doc__")


class Watcher(MetaPathFinder):
    """Knows how each module of the core and of the runtimes was when its import ended, and so what was changed since.

    What was imported before is taken as it is when the watcher is made; to watch the others it finds modules first. What
    a function is made of cannot be replaced unseen either: Python tells its audit hooks.
    """

    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}
        self._tables: list[tuple[str, Any, Any]] = []
        self._rewritten: list[str] = []  # functions
        for name, module in list(sys.modules.items()):
            if _is_ours(name):
                self._record(module)
        self._python = {
            name: _Space.of(sys.modules[name]) for name in _PYTHON if name in sys.modules
        }

    def start(self) -> None:
        """Watch this process from now on; there is no way back."""
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._hear)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the others find, with its module recorded once it is there."""
        if not _is_ours(fullname):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_record(module: ModuleType) -> None:
                execute(module)
                self._record(module)

            vars(spec.loader)["exec_module"] = execute_and_record
        return spec

    def replaced(self, package: str) -> list[str]:
        """Names, outside of the plugin's own package, that stand for something else than they did."""
        found = [
            f"{name}.{member}" for name, space in self._spaces.items() for member in space.changed()
        ]
        found += [name for name, space in self._spaces.items() if space.is_hidden]
        found += [name for name, table, before in self._tables if table != before]
        found += self._rewritten
        return [name for name in found if _top(name) != package]

    def replaced_in_python(self) -> list[str]:
        """Public functions and classes of Python that are others now."""
        return [
            f"{name}.{member}"
            for name, space in self._python.items()
            for member in space.changed()
            if callable(space.before[member]) and not member.startswith("_")
        ]

    def _record(self, module: ModuleType) -> None:
        name = module.__name__
        self._spaces[name] = _Space.of(module)
        for member, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == name:
                self._spaces[f"{name}.{member}"] = _Space.of(value)
            elif isinstance(value, dict | list | set) and not member.startswith("__"):
                self._tables.append((f"{name}.{member}", value, value.copy()))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "object.__setattr__" and isinstance(arguments[0], FunctionType):
            function = arguments[0]
            if _is_ours(str(function.__module__)):
                self._rewritten.append(f"{function.__module__}.{function.__qualname__}")


@dataclass(frozen=True, slots=True)
class _Space:
    """What the names of a module or a class stood for."""

    owner: ModuleType | type
    before: Mapping[str, Any]

    @classmethod
    def of(cls, owner: ModuleType | type) -> _Space:
        return cls(owner, dict(vars(owner)))

    @property
    def is_hidden(self) -> bool:
        """True for a module in whose place another stands."""
        owner = self.owner
        return isinstance(owner, ModuleType) and sys.modules.get(owner.__name__) is not owner

    def changed(self) -> Iterator[str]:
        """Names that stand for something else; with a class also new ones, which may hide those of its bases."""
        now = vars(self.owner)
        if now == self.before:  # quick, since the values are the same objects
            return
        for name in {**self.before, **now} if isinstance(self.owner, type) else self.before:
            if now.get(name) is not self.before.get(name) and not name.startswith(_LAZY):
                yield name


def _is_ours(module: str) -> bool:
    top = _top(module)
    return top == _CORE or top.startswith(_RUNTIMES)


def _top(name: str) -> str:
    return name.partition(".")[0]
