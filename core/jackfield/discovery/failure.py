"""A failure of one plugin as data. Other plugins go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.discovery.kinds import COMMANDS, HOOKS, Kind
from jackfield.discovery.local import LOCAL
from jackfield.discovery.printable import MAX_TEXT, printable
from jackfield.errors import PluginConflict, PluginLoadError

_NOT_SELECTED = (HOOKS, COMMANDS)  # kinds whose plugins are all used


class NoFacts(PluginLoadError):
    """The facts of the plugin on the machine in question are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """A plugin that cannot be used, the reason, and what the user can do."""

    # The code is "scan", "kind", "incompatible", "conflict", "load", "probe", "harm", "deny", "required" or "lock".
    code: str
    kind: str
    name: str
    distribution: str
    version: str
    error: str
    fix: str
    traceback: str = ""
    # How a plugin failed in the subprocess: "raised", "missing dependency", "wrong class", "not serialisable", "ended",
    # "crashed" or "hung".
    cause: str = ""

    @classmethod
    def of(cls, code: str, ref: PluginRef, error: str, fix: str, trace: str = "") -> PluginFailure:
        """The failure of the plugin behind `ref`."""
        return cls(
            code=code,
            kind=ref.kind,
            name=ref.name,
            distribution=ref.distribution,
            version=ref.version,
            error=error,
            fix=fix,
            traceback=trace,
        )

    @classmethod
    def of_setting(cls, code: str, key: str, word: str, error: str, fix: str) -> PluginFailure:
        """The failure for a name in the settings that means no plugin, or several."""
        return cls(
            code=code, kind=key, name=word, distribution="", version="", error=error, fix=fix
        )

    def __str__(self) -> str:
        place = " ".join(part for part in (self.distribution, self.version) if part)
        where = f"{self.kind} {self.name} [{place}]" if place else f"{self.kind} {self.name}"
        error = printable(self.error, MAX_TEXT)
        end = "" if error.endswith((".", "?")) else "."
        gap = f"{end} " if "\n" not in error else "\n"
        return f"{printable(where)}: {error}{gap}{self.fix}"

    @property
    def is_fault(self) -> bool:
        """True if something must be repaired. False if a device is missing, or a plugin that is denied anyway."""
        return self.code not in ("probe", "deny")

    def in_one_line(self) -> str:
        """The failure in one line for a log, without the output of a crash."""
        who = printable(f"{self.name} of {self.distribution} {self.version}")
        error = printable(self.error.partition("\n")[0], MAX_TEXT).removesuffix(", and wrote")
        return f"{who}: {error}; {self.fix}"


def owned_twice(refs: Iterable[PluginRef]) -> list[list[PluginRef]]:
    """Plugins whose name several distributions use, by name."""
    owners: dict[str, list[PluginRef]] = {}
    for ref in refs:
        owners.setdefault(ref.name, []).append(ref)
    return [same for same in owners.values() if len(same) > 1]


def check_conflict(refs: Iterable[PluginRef]) -> None:
    """Raise PluginConflict if two distributions use the same name."""
    for same in owned_twice(refs):
        raise PluginConflict(". ".join(conflict(same)))


def incompatibility(ref: PluginRef, kind: Kind) -> tuple[str, str]:
    """The error for a plugin of another contract major, and what to do."""
    ours = f"this jackfield {__version__} serves {kind.serves}"
    error = f"{ref.name} ({ref.distribution} {ref.version}) speaks {ref.kind} v{ref.major}; {ours}"
    if ref.distribution == LOCAL:
        return error, f"Write it for {kind.serves}, and name that major in plugins.local"
    if ref.major > max(kind.majors, default=0):
        return (
            error,
            f"Upgrade jackfield, or install a release of {ref.distribution} for {kind.serves}",
        )
    return error, f"Upgrade {ref.distribution}: pip install -U {ref.distribution}"


def conflict(refs: Sequence[PluginRef]) -> tuple[str, str]:
    """The error if several distributions use the same name, and what to do."""
    first, *_ = refs
    owners = " and ".join(f"{ref.distribution} {ref.version}" for ref in refs)
    fix = f'Uninstall one, or deny it (plugins.deny = ["{first.name}@{first.distribution}"])'
    if first.kind not in _NOT_SELECTED:
        fix += f', or name the one you want in [select] as "{first.name}@{first.distribution}"'
    return f"{len(refs)} distributions own the name {first.name!r} of {first.kind}: {owners}", fix
