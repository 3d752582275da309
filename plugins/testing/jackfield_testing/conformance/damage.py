"""Broken copies of model files, and the files that a process holds open."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from jackfield_testing.conformance.report import NOT_SHOWN

Damage = Callable[[bytes], bytes | None]

# Maps the bytes of a file to those of a broken file. None: the file is missing.
DAMAGES: Mapping[str, Damage] = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut in half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "noise": lambda data: random.Random(0).randbytes(len(data)),
    "missing": lambda data: None,
}


def damaged(path: Path, damage: Damage, scratch: Path) -> Iterator[tuple[Path, Path]]:
    """Copies of `path`, a folder or file, with one broken file each. Yields the copy and the broken file."""
    names = [p.relative_to(path) for p in sorted(path.rglob("*")) if p.is_file()] or [Path()]
    for number, name in enumerate(names):
        copy = scratch / f"{number}" / path.name
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            copy.parent.mkdir(parents=True)
            shutil.copy(path, copy)
        broken = copy / name
        data = damage(broken.read_bytes())
        broken.unlink() if data is None else broken.write_bytes(data)
        yield copy, broken


def held_files(path: Path) -> set[str]:
    """Files at or below `path` that this process has open or mapped. Skips the test if the system does not tell."""
    descriptors, maps = Path("/proc/self/fd"), Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip(f"{NOT_SHOWN}this system does not say which files are open")
    found = {str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()}
    found |= {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines()}
    return {name for name in found if Path(name).is_relative_to(path)}
