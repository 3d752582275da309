"""Processes that fetch a model: several at once, and some that are stopped in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from jackfield.activation import PluginRef
from jackfield.discovery.loading import load_target
from jackfield.interfaces.model_source import ModelReference

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from jackfield_testing.conformance.fetching import fetch
fetch()
"""
_READY = "ready"
_ANSWER_S = 60.0  # for work that takes a second on an idle machine
_BEGUN_S = 10.0  # until something of a model is in the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a process reports after `resolve` has returned."""

    files: Mapping[str, str]  # digests of the model's files at that moment
    changed: Sequence[str]  # changed environment variables; "." for the working folder


class Fetch:
    """A process that has loaded a model source and waits for the signal to fetch. It ends with the context."""

    def __init__(self, source: PluginRef, reference: ModelReference) -> None:
        self._cache = reference.cache_folder
        self._before = _state(self._cache)
        path = [str(Path.cwd()), *sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # signals also reach the processes that it starts
        )
        self._say({"source": asdict(source), "reference": asdict(reference)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def start(self) -> None:
        """Give the signal when the process is ready."""
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) and line.strip() != _READY:
            pass  # output of the plugin
        assert line, f"a process cannot load the source:\n{self._process.communicate()[1]}"
        self._before = _state(self._cache)
        self._say({})

    def found(self) -> Found:
        """The report of the process. Raises AssertionError if it failed."""
        try:
            out, errors = self._process.communicate(timeout=_ANSWER_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"a process fetched for {_ANSWER_S:.0f} s") from error
        assert self._process.returncode == 0, f"a process could not fetch the model:\n{errors}"
        return Found(**json.loads(out.splitlines()[-1]))

    def wait_until_begun(self) -> None:
        """Wait until it changed the cache, or ended. The wait is short, since a source may collect data in memory first."""
        limit = time.monotonic() + _BEGUN_S
        while _state(self._cache) == self._before and self._process.poll() is None:
            if time.monotonic() > limit:
                return
            _pause(0.005)

    def stop(self, how: signal.Signals, after_s: float) -> bool:
        """Stop the process some time after it began to change the cache. False: it had ended before."""
        self.start()
        self.wait_until_begun()
        _pause(after_s)
        if self._process.poll() is not None:
            return False
        os.killpg(self._process.pid, how)
        self._process.communicate(timeout=_ANSWER_S)
        return True

    def _say(self, values: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(values, default=str) + "\n")
        self._process.stdin.flush()


def fetch() -> None:
    """The program of such a process: load the source, wait for the signal, fetch, and report the files."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    asked = json.loads(sys.stdin.readline())
    card = load_target(PluginRef(**asked["source"]))
    values = asked["reference"]
    reference = ModelReference(**{**values, "cache_folder": Path(values["cache_folder"])})
    _tell(_READY)
    sys.stdin.readline()
    before = _surroundings()
    path = card.resolve(reference).path
    after = _surroundings()
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    _tell(json.dumps({"files": digests(contents(path)), "changed": changed}))


def _surroundings() -> dict[str, str]:
    return {**os.environ, ".": str(Path.cwd())}


def _tell(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def contents(path: Path) -> dict[str, bytes]:
    """The files of a model: maps paths in its folder, or the name of the single file, to their bytes."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """The files with digests instead of bytes."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _pause(seconds: float) -> None:
    """Wait, even if a sample made time.sleep return at once to skip the waits between retries."""
    threading.Event().wait(seconds)


def _state(folder: Path) -> set[tuple[str, int]]:
    found = set()
    for path in folder.rglob("*"):
        try:
            found.add((str(path), path.lstat().st_size))
        except OSError:  # deleted in the meantime
            continue
    return found
