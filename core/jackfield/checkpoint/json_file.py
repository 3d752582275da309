"""JSON files of a checkpoint, read with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jackfield.errors import CheckpointError


def read_if_there(path: Path | None) -> dict[str, Any]:
    """The object in the file, an empty one where there is no file. Raises CheckpointError."""
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
        values = json.loads(path.read_text(encoding="utf-8-sig"))  # editors put a mark in front
    except (OSError, ValueError) as error:  # ValueError: broken JSON, and text that is no UTF-8
        raise CheckpointError(
            f"cannot read {path}: {error}; it must hold one JSON {word}. Download it again"
        ) from error
    if not isinstance(values, kind):
        raise CheckpointError(
            f"{path} holds a JSON {type(values).__name__}; it must hold one JSON {word}. "
            "Download it again"
        )
    return values
