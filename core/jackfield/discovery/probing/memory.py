"""Outcomes of trials on disk, for as long as nothing changed that they depend on.

One file holds what was found in one state of one environment on one machine: all installed distributions with their
versions and installation times, the interpreter, the processor, and the accelerators with their drivers. A change of any
of these names another file. Within a file an entry is found by the plugin, and by its sources where it is installed as
a link to a working folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.discovery.content import is_editable
from jackfield.discovery.probing.outcome import FINE, HUNG, INTRUSIVE, LOST, Outcome
from jackfield.environment import cache_folder, device_variables

_FORMAT = 1  # of the file
_KEPT_FILES = 16  # states of environments, the newest
_FAILURE_LIFE = 3600.0  # seconds: a driver may have been busy, a machine short of memory
_DRIVERS = ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version", "/sys/module/xe/version")
_DEVICES = ("nvidia[0-9]*", "kfd", "accel*", "neuron*", "dri/render*")  # below /dev


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
        outcome = Outcome(**entry["outcome"])
        if outcome.code != FINE and time.time() - entry["time"] > _FAILURE_LIFE:
            return None
        return outcome

    def keep(self, ref: PluginRef, outcome: Outcome, *, probe: bool) -> None:
        """Remember what is sure to happen again. What merely raised is not kept: to see it again is cheap."""
        if outcome.code not in (FINE, LOST, HUNG, INTRUSIVE):
            return
        self._entries[_key(ref, probe)] = {"outcome": asdict(outcome), "time": time.time()}
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
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    return _digest(*(f"{file} {file.stat().st_mtime_ns}" for file in files))


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
