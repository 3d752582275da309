"""Outcomes of trials on disk, for as long as nothing changed that they depend on.

One file holds what was found in one state of one environment on one machine: all installed distributions with their
versions and installation times, the interpreter, the processor, and the accelerators with their drivers. A change of any
of these names another file. Within a file an entry is found by the plugin, and by its sources where it is installed as
a link to a working folder; it holds as long as what the plugin's card watches is as it was.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.discovery.content import is_editable
from jackfield.discovery.probing.outcome import FINE, HARMFUL, Outcome, read_outcome
from jackfield.environment import all_variables, cache_folder, device_variables
from jackfield.interfaces.card import Watch

_FORMAT = 2  # of the file
_KEPT_FILES = 16  # states of environments, the newest
_SOURCES = ("*.py", "*.so", "*.pyd")
_FAILURE_LIFE = 3600.0  # seconds: a driver may have been busy, a machine short of memory
_WATCHED_BYTES = (
    64 * 1024
)  # files up to there are compared by content: those of drivers have no true times
_DRIVERS = (
    "/proc/driver/nvidia/version",
    "/sys/module/amdgpu/version",
    "/sys/module/habanalabs/version",
    "/sys/module/neuron/version",
    "/sys/module/xe/version",
    "/usr/local/Ascend/driver/version.info",
)
_DEVICES = (  # below /dev
    *("nvidia[0-9]*", "kfd", "accel*", "accel/*", "neuron*", "dri/render*"),
    *("davinci[0-9]*", "hl[0-9]*", "vfio/[0-9]*"),
)


class TrialMemory:
    """Remembers outcomes. A file that cannot be read or written is no error: plugins are tried again."""

    def __init__(self) -> None:
        self._path = cache_folder() / "trials" / f"{_state_of_everything()}.json"
        self._entries = _read(self._path)

    def recall(self, ref: PluginRef, *, probe: bool) -> Outcome | None:
        """What was found before, if it still holds."""
        entry = self._entries.get(_key(ref, probe))
        if entry is None:
            return None
        outcome = read_outcome(entry["outcome"])
        if entry["watched"] != _state_of(outcome.watch):
            return None
        if outcome.code != FINE and time.time() - entry["time"] > _FAILURE_LIFE:
            return None
        return outcome

    def keep(self, ref: PluginRef, outcome: Outcome, *, probe: bool) -> None:
        """Remember what is sure to happen again. What merely raised is not kept: to see it again is cheap."""
        if outcome.code not in (FINE, *HARMFUL):
            return
        self._entries[_key(ref, probe)] = {
            "outcome": asdict(outcome),
            "watched": _state_of(outcome.watch),
            "time": time.time(),
        }
        _write(self._path, self._entries)


def _key(ref: PluginRef, probe: bool) -> str:
    verb = "probe" if probe else "import"
    where = f"{ref.kind}.v{ref.major}:{ref.name}@{ref.distribution}={ref.version}"
    return f"{verb} {where} {ref.target} {_state_of_sources(ref)}"


@cache
def _state_of_sources(ref: PluginRef) -> str:
    """Of a plugin in a working folder, a digest of when its files were written; they change without an installation."""
    if not is_editable(ref.distribution):
        return ""
    spec = find_spec(ref.target.partition(":")[0].partition(".")[0])
    if spec is None:
        return ""
    files = {Path(spec.origin)} if spec.origin and spec.has_location else set()  # of a lone module
    for folder in spec.submodule_search_locations or ():
        files.update(file for pattern in _SOURCES for file in Path(folder).rglob(pattern))
    return _digest(*(f"{file} {file.stat().st_mtime_ns}" for file in sorted(files)))


def _state_of(watch: Watch) -> str:
    """A digest of what a card watches; empty where that is nothing."""
    variables = sorted(
        f"{name}={value}"
        for name, value in all_variables().items()
        if any(fnmatchcase(name, pattern) for pattern in watch.variables)
    )
    files = sorted({file for pattern in watch.files for file in glob.glob(pattern)})  # noqa: PTH207 - absolute patterns
    found = (*variables, *(f"{file} {_state_of_file(Path(file))}" for file in files))
    return _digest(*found) if found else ""


def _state_of_file(file: Path) -> str:
    """Of a regular file what is in it, or when it was written; a device is only there."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            return ""
        if found.st_size > _WATCHED_BYTES:
            return f"{found.st_size} {found.st_mtime_ns}"
        with file.open("rb") as content:
            return hashlib.sha256(content.read(_WATCHED_BYTES)).hexdigest()
    except OSError as error:
        return str(error.errno)


def _state_of_everything() -> str:
    return _digest(
        __version__,
        sys.version,
        sys.executable,
        *_distributions(),
        *platform.uname()[::2],  # system, release, machine: not the host's name
        *_processor(),
        *_devices(),
        *(f"{name}={value}" for name, value in sorted(device_variables().items())),
    )


def _distributions() -> Iterator[str]:
    """Folders of metadata name the version; when they were written tells an installation from the next."""
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                found = [
                    entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))
                ]
                yield from sorted(f"{entry.path} {entry.stat().st_mtime_ns}" for entry in found)
        except OSError:
            continue  # a zip file, or a folder that is not there


def _processor() -> Iterator[str]:
    """Name and extensions of the first core."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("model name", "flags", "Features", "CPU part")):
                    yield line
                if not line.strip():
                    return
    except OSError:
        yield platform.processor()


def _devices() -> Iterator[str]:
    for driver in _DRIVERS:
        try:
            yield Path(driver).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # that driver is not loaded
    for pattern in _DEVICES:
        yield from sorted(str(node) for node in Path("/dev").glob(pattern))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document["entries"]) if document["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Whole or not at all, since other processes read it at any time."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"format": _FORMAT, "entries": entries}), encoding="utf-8")
        part.replace(path)
        files = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-_KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError:
        with suppress(OSError):
            part.unlink()
