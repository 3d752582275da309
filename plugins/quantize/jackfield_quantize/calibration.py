"""The text that runs through a model while it is quantised."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from jackfield.errors import ConfigError
from jackfield.interfaces.tokenizer import Tokenizer

DEFAULT = "calibration.txt"  # from the Jargon File 4.4.7 (public domain)


def calibration_rows(
    tokenizer: Tokenizer, path: Path | None, num_rows: int, row_length: int
) -> Tensor:
    """int64 [R, L]: the first tokens of the text, without special ones, as many whole rows as it holds.

    Raises ConfigError if it holds none.
    """
    text = _read(path)
    ids = tokenizer.encode(text, add_special_tokens=False)[: num_rows * row_length]
    num_found = len(ids) // row_length
    if not num_found:
        raise ConfigError(
            f"the calibration text {path or DEFAULT} has {len(ids)} tokens, fewer than one row of {row_length}. "
            "Name a longer one with --calibration, or set --sample-length"
        )
    return torch.tensor(ids[: num_found * row_length]).view(num_found, row_length)


def fingerprint(path: Path | None) -> str:
    """A digest of the text. An interrupted run goes on only with the same text."""
    return hashlib.sha256(_read(path).encode()).hexdigest()[:16]


def _read(path: Path | None) -> str:
    try:
        source = path or files("jackfield_quantize") / DEFAULT
        return source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"--calibration {path} is no text in UTF-8: {error}") from error
