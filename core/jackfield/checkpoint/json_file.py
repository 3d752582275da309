"""JSON files of a checkpoint, read with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jackfield.errors import CheckpointError


def read_if_there(path: Path | None) -> dict[str, Any]:
    """The object in the file; an empty object if there is no file. Raises CheckpointError."""
    return read_json(path) if path else {}


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file. Raises CheckpointError."""
    values: dict[str, Any] = _read(path, dict, "object")
    return values


def read_json_list(path: Path) -> list[Any]:
    """The array in the file. Raises CheckpointError."""
    values: list[Any] = _read(path, list, "array")
    return values


def _read(path: Path, kind: type, word: str) -> Any:
    try:
        # Some editors write a byte-order mark.
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    # A ValueError means broken JSON, or text that is not UTF-8.
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path}: {error}; it must hold one JSON {word}. Download it again"
        ) from error
    if not isinstance(values, kind):
        raise CheckpointError(
            f"{path} holds a JSON {type(values).__name__}; it must hold one JSON {word}. "
            "Download it again"
        )
    return values
