"""The single scan of all installed distributions for entry points. It imports nothing of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from jackfield.activation import PluginRef
from jackfield.discovery.failure import PluginFailure

if sys.version_info >= (3, 12):
    from importlib import metadata
else:  # faster, and has the fixes of 3.12
    import importlib_metadata as metadata

CORE = "jackfield"
# This group is no kind of plugin. Its names are the full name of a kind, or KIND/PLUGIN; the values are the test kits
# for plugins of that kind, or for that plugin alone.
KITS = "jackfield.conformance_kits"
_TARGET = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(\[.*\])?")
_GROUP = re.compile(r"(?P<kind>jackfield(?:_\w+)?\.[a-z0-9_]+)\.v(?P<major>\d+)")


@dataclass(frozen=True, slots=True)
class Scan:
    """The installed plugins."""

    plugins: tuple[PluginRef, ...]
    failures: tuple[PluginFailure, ...]  # distributions with broken metadata or entry points
    first_party: frozenset[str]  # normalised names: the core, and the distributions in its extras
    kits: tuple[PluginRef, ...] = ()  # conformance kits, by kind or KIND/PLUGIN


def scan_installed() -> Scan:
    """All entry points of our groups on sys.path. Scanned once for each process and path."""
    return _scan(_folders(tuple(sys.path)))


def installed_version(name: str) -> str | None:
    """The version of a distribution, from its metadata."""
    found = find_distribution(name)
    return _header(found, "Version") if found else None


def find_distribution(name: str) -> metadata.Distribution | None:
    """The installed distribution of that name: the first on the path, as in the import system."""
    found = list(metadata.Distribution.discover(name=name, path=list(_folders(tuple(sys.path)))))
    return _preferred(found) if found else None


@lru_cache(maxsize=4)
def _folders(path: tuple[str, ...]) -> tuple[str, ...]:
    """The existing folders of sys.path. A missing folder would be tried as a zip file each time."""
    return tuple(entry for entry in path if Path(entry).exists())


def _preferred(found: Sequence[metadata.Distribution]) -> metadata.Distribution:
    """The first on the path. An editable install may appear twice in one folder; then its dist-info counts."""
    if len(found) == 1:
        return found[0]
    first = [one for one in found if one.locate_file("") == found[0].locate_file("")]
    return next((one for one in first if one.read_text("METADATA")), found[0])


def _metadata(found: metadata.Distribution) -> str:
    return found.read_text("METADATA") or found.read_text("PKG-INFO") or ""


def _header(found: metadata.Distribution, name: str) -> str:
    """One line of the metadata. A parser of whole messages would take longer than all other work of a listing."""
    line = re.search(rf"^{name}: *(\S+)", _metadata(found), re.MULTILINE)
    if line is None:
        raise ValueError(f"its METADATA has no line {name!r}")
    return line[1]


def normalise(name: str) -> str:
    """A distribution's name in the normal form of PyPI."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=4)
def _scan(path: tuple[str, ...]) -> Scan:
    found_refs: list[PluginRef] = []
    failures: list[PluginFailure] = []
    installed: dict[str, list[metadata.Distribution]] = {}
    for found in metadata.Distribution.discover(path=list(path)):
        installed.setdefault(_folder_name(found), []).append(found)
    for label, same in installed.items():
        try:
            first = _preferred(same)
            if CORE not in (first.read_text("entry_points.txt") or ""):
                continue  # avoids reading the metadata of all installed distributions
            _read(first, normalise(_header(first, "Name")), found_refs, failures)
        except Exception as error:  # a broken distribution must not affect others
            failures.append(_broken(label, error))
    plugins = tuple(ref for ref in found_refs if ref.kind != KITS)
    kits = tuple(ref for ref in found_refs if ref.kind == KITS)
    return Scan(plugins, tuple(failures), _first_party(path), kits)


def _folder_name(found: metadata.Distribution) -> str:
    """The name in "/somewhere/NAME-VERSION.dist-info"; without a folder, any text that is unique to the distribution."""
    path = getattr(found, "_path", None)
    return normalise(re.split(r"-|\.(?:dist|egg)-info", path.name)[0]) if path else str(found)


def _read(
    distribution: metadata.Distribution,
    name: str,
    refs: list[PluginRef],
    failures: list[PluginFailure],
) -> None:
    """Read each entry point by itself, so that a broken one does not affect the others."""
    found: dict[tuple[str, int, str], PluginRef] = {}
    version = _header(distribution, "Version")
    for entry in _entries(distribution.read_text("entry_points.txt") or ""):
        group = _GROUP.fullmatch(entry.group)
        wrong = _fault(entry, is_kind=bool(group))
        target = _TARGET.fullmatch(entry.value)
        if wrong is None and target and (group or entry.group == KITS):
            ref = PluginRef(
                kind=group["kind"] if group else KITS,
                major=int(group["major"]) if group else 1,
                name=entry.name,
                distribution=name,
                version=version,
                target=f"{target['module']}:{target['attribute']}",
            )
            first = found.setdefault((ref.kind, ref.major, ref.name), ref)
            if first.target != ref.target:
                wrong = (
                    f"it names {ref.name!r} of {entry.group} twice: {first.target} is used, {ref.target} is not",
                    "Its author gives one of them another name",
                )
        if wrong is not None:
            failures.append(
                PluginFailure(
                    code="scan",
                    kind=entry.group,
                    name=entry.name,
                    distribution=name,
                    version=version,
                    error=wrong[0],
                    fix=wrong[1],
                )
            )
    refs += found.values()


class _Entry(NamedTuple):
    group: str
    name: str
    value: str


def _entries(text: str) -> Iterator[_Entry]:
    """The entry points of an entry_points.txt. The library's own objects refuse a malformed one, and with it all others."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield _Entry(group, name.strip(), value.strip())


def _fault(entry: _Entry, *, is_kind: bool) -> tuple[str, str] | None:
    """What is wrong with one entry point, and what its author can do."""
    if not is_kind and entry.group != KITS:
        if not re.match(r"jackfield[._]", entry.group):
            return None
        return (
            f"the group {entry.group!r} names no contract major",
            "Its author writes KIND.vMAJOR, e.g. jackfield.platforms.v1",
        )
    if not entry.name.strip():
        return f"it has no name (its target is {entry.value!r})", "Its author names it"
    if not _TARGET.fullmatch(entry.value):
        return (
            f"its target {entry.value!r} is not of the form MODULE:ATTRIBUTE",
            f'Its author writes e.g. {entry.name} = "acme_plugin.card:Card" in pyproject.toml',
        )
    return None


def _broken(label: str, error: Exception) -> PluginFailure:
    return PluginFailure(
        code="scan",
        kind="distribution",
        name=label,
        distribution=label,
        version="",
        error=f"its metadata cannot be read: {type(error).__name__}: {error}",
        fix=f"Reinstall it: pip install --force-reinstall --no-deps {label}",
    )


def _first_party(path: tuple[str, ...]) -> frozenset[str]:
    """The core, and the distributions that its own extras name. So the code needs no list of them."""
    for core in metadata.Distribution.discover(name=CORE, path=list(path)):
        names = map(
            normalise, re.findall(r"^Requires-Dist: *([\w.-]+)", _metadata(core), re.MULTILINE)
        )
        return frozenset({CORE, *(name for name in names if name.startswith(f"{CORE}-"))})
    return frozenset({CORE})
