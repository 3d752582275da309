"""Which files are GGUF, by their ending or first bytes, and which of them belong to one model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.model_source import ModelFiles

MAGIC = b"GGUF"
_ENDING = ".gguf"
_PART = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.gguf)?", re.IGNORECASE
)
# Files that turn images into embeddings. Models of text need none.
_PROJECTOR = re.compile(r"mmproj", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GgufFiles:
    """The files of one model in the order of its parts; nearly always a single file."""

    paths: tuple[Path, ...]

    @property
    def first(self) -> Path:
        """The file with the metadata."""
        return self.paths[0]


def is_gguf(path: Path) -> bool:
    """True for a file with the ending .gguf in any case, or with the first bytes of a GGUF file."""
    return path.is_file() and (path.name.lower().endswith(_ENDING) or _magic(path) == MAGIC)


def refuse_files(files: ModelFiles) -> tuple[Reason, ...]:
    """Why these files are not exactly one complete GGUF model."""
    models = _models(files)
    if not models:
        text = f"{files.path} is no GGUF file and holds none"
        return (Reason("no_gguf", text, "name a .gguf file, or a folder with one"),)
    if len(models) > 1:
        names = ", ".join(paths[0].name for paths in models)
        text = f"{files.path} holds several GGUF models: {names}"
        return (Reason("several_gguf", text, "name the file, not its folder"),)
    missing = [path.name for path in _all_parts(models[0][0]) if not path.is_file()]
    if missing:
        text = f"{models[0][0].parent} lacks {', '.join(missing)}; a model needs all its parts"
        return (Reason("missing_part", text, "download it into the same folder"),)
    return ()


def model_files(files: ModelFiles) -> GgufFiles:
    """All parts of the model. Raises CheckpointError if there is none, several, or a part is missing."""
    reasons = refuse_files(files)
    if reasons:
        raise CheckpointError(f"cannot open {files.reference!r} as GGUF: {reasons[0]}")
    return GgufFiles(_all_parts(_models(files)[0][0]))


def _models(files: ModelFiles) -> list[list[Path]]:
    """The GGUF files, grouped by model."""
    path = files.path
    if not path.is_dir():
        return [[path]] if is_gguf(path) else []
    names = [file for file in sorted(path.iterdir()) if file.name.lower().endswith(_ENDING)]
    found = names or [file for file in sorted(path.iterdir()) if not file.suffix and is_gguf(file)]
    texts = [file for file in found if not _PROJECTOR.search(file.name)]
    models: dict[tuple[str, str], list[Path]] = {}
    for file in texts or found:
        part = _PART.fullmatch(file.name)
        key = (part["stem"], part["count"]) if part else (file.name, "")
        models.setdefault(key, []).append(file)
    return list(models.values())


def _all_parts(path: Path) -> tuple[Path, ...]:
    part = _PART.fullmatch(path.name)
    if part is None:
        return (path,)
    stem, count, ending = part["stem"], part["count"], part["ending"] or ""
    numbers = range(1, int(count) + 1)
    return tuple(path.with_name(f"{stem}-{n:05}-of-{count}{ending}") for n in numbers) or (path,)


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC))
    except OSError:
        return b""
