"""Keeps on disk what trying plugins has found, until something changes that it depends on.

One file holds the findings for one set of installed distributions, one processor, and one set of devices with their
drivers. If any of these changes, another file is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.discovery.content import is_editable
from jackfield.environment import cache_folder, device_variables

_FORMAT = 3  # version of the file's format
_KEPT_FILES = 16  # number of newest files that are kept
# Faults that are kept, because finding them again takes long.
_CERTAIN = ("ended", "crashed", "hung")
_FAULT_LIFE_S = 3600.0  # a fault may pass: a driver was busy, or memory was short
_DRIVERS = (
    "/proc/driver/nvidia/version",
    *(f"/sys/module/{name}/version" for name in ("amdgpu", "habanalabs", "neuron", "xe")),
    "/usr/local/Ascend/driver/version.info",
)
_DEVICES = (  # below /dev
    *("nvidia[0-9]*", "kfd", "accel*", "accel/*", "neuron*", "dri/render*"),
    *("davinci[0-9]*", "hl[0-9]*", "vfio/[0-9]*"),
)


class FactCache:
    """Answers by plugin and question. If a file cannot be read or written, plugins are tried again; that is no error."""

    def recall(self, ref: PluginRef, verb: str) -> dict[str, Any] | None:
        """The kept answer, if it is still valid."""
        kept: dict[str, Any] = self._entries.get(_key(ref, verb), {})
        is_old = time.time() - kept.get("time", 0.0) > _FAULT_LIFE_S
        return None if not kept or ("fault" in kept["answer"] and is_old) else kept["answer"]

    def keep(self, ref: PluginRef, verb: str, answer: dict[str, Any]) -> None:
        """Keep an answer, unless it is an ordinary exception, which is cheap to find again."""
        if "fault" not in answer or answer["fault"]["cause"] in _CERTAIN:
            self._entries[_key(ref, verb)] = {"answer": answer, "time": time.time()}
            _write(self._path, {"format": _FORMAT, "entries": self._entries})

    @cached_property
    def _path(self) -> Path:
        return cache_folder() / "facts" / f"{_digest(*_state())}.json"

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return dict(document["entries"]) if document["format"] == _FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _key(ref: PluginRef, verb: str) -> str:
    where = f"{ref.kind}.v{ref.major}:{ref.name}@{ref.distribution}={ref.version}"
    return f"{verb} {where} {ref.target} {_state_of_sources(ref)}"


@cache
def _state_of_sources(ref: PluginRef) -> str:
    """The times at which the files of a plugin in a working folder were written. They change without an installation."""
    if not is_editable(ref.distribution):
        return ""
    spec = find_spec(ref.target.partition(":")[0].partition(".")[0])
    if spec is None:
        return ""
    # A plugin may be a single module.
    files = [spec.origin] if spec.origin and spec.has_location else []
    for root in spec.submodule_search_locations or ():
        for folder, _, names in os.walk(root):
            files += [f"{folder}/{name}" for name in names if name.endswith((".py", ".so"))]
    return _digest(*(f"{file} {Path(file).stat().st_mtime_ns}" for file in sorted({*files})))


def _state() -> Iterator[str]:
    yield from (__version__, sys.version, sys.executable)
    for folder in sys.path:
        with suppress(OSError):  # a zip file, or a folder that does not exist
            found = (entry for entry in os.scandir(folder or ".") if "-info" in entry.name)
            yield from sorted(f"{entry.path} {entry.stat().st_mtime_ns}" for entry in found)
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        first_core = takewhile(str.strip, file)
        yield from (line for line in first_core if line.startswith(("model name", "flags", "Feat")))
    for driver in _DRIVERS:
        with suppress(OSError):  # the driver is not loaded
            yield Path(driver).read_text(encoding="utf-8", errors="replace")
    for pattern in _DEVICES:
        yield from sorted(str(node) for node in Path("/dev").glob(pattern))
    yield from (f"{name}={value}" for name, value in sorted(device_variables().items()))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write the file as a whole, since other processes may read it at any time."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(document), encoding="utf-8")
        part.replace(path)
        files = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-_KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError:
        with suppress(OSError):
            part.unlink()
