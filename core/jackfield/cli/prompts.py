"""Prompts of a command line: single ones, a file of lines or JSON objects, or standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import ConfigError, RequestError
from jackfield.sampling import SamplingParams

_CONTENTS = ("prompt", "messages", "prompt_token_ids")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """One prompt, with its own sampling fields."""

    content: Any  # text, messages or token ids
    sampling: Mapping[str, Any]


def read_prompts(given: Sequence[str], file: Path | None) -> list[PromptEntry]:
    """Prompts from --prompt, then from the file, otherwise from standard input. Raises ConfigError if there are none."""
    entries = [PromptEntry(text, {}) for text in given]
    if file is not None:
        entries += _entries(_read_file(file), f"--prompts-file {file}")
    elif not given and not sys.stdin.isatty():
        entries += _entries(_read_input(), "standard input")
    if not entries:
        raise ConfigError(
            "no prompt: give --prompt TEXT, --prompts-file FILE, or lines on standard input"
        )
    return entries


def decoded(data: bytes, where: str) -> str:
    """UTF-8 text without a byte-order mark. Raises ConfigError that names the place if it is not UTF-8."""
    try:
        return data.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{where} is no text in UTF-8: line {line} has the byte 0x{data[error.start]:02x} (byte {error.start} of all). "
            "Convert it, e.g. with: iconv -f latin1 -t utf-8"
        ) from None


def _read_file(file: Path) -> str:
    try:
        return decoded(file.read_bytes(), f"--prompts-file {file}")
    except FileNotFoundError:
        raise ConfigError(f"--prompts-file {file}: there is no such file") from None
    except OSError as error:
        raise ConfigError(
            f"--prompts-file {file} cannot be read: {error.strerror or error}"
        ) from None


def _read_input() -> str:
    buffer = getattr(sys.stdin, "buffer", None)
    return decoded(buffer.read(), "standard input") if buffer else sys.stdin.read()


def _entries(text: str, where: str) -> Iterator[PromptEntry]:
    """One prompt for each line. Only line feeds end a line, since prompts may hold all other characters."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    is_json = next((_is_object(line) for line in lines if line.strip()), False)
    for number, line in enumerate(lines, 1):
        if line.strip() if is_json else line:
            yield _of_json(line, f"{where}, line {number}") if is_json else PromptEntry(line, {})


def _is_object(line: str) -> bool:
    if not line.strip().startswith("{"):
        return False
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and any(name in value for name in _CONTENTS)


def _of_json(line: str, where: str) -> PromptEntry:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where} is no JSON ({error}), as the first line is") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is no JSON object, as the first line is")
    names = [name for name in _CONTENTS if values.get(name) is not None]
    if len(names) != 1:
        raise ConfigError(f"{where}: an object has one of {', '.join(_CONTENTS)}, this has {names}")
    sampling = {key: value for key, value in values.items() if key not in _CONTENTS}
    try:
        SamplingParams.from_mapping(sampling)
    except RequestError as error:
        raise ConfigError(f"{where}: {error}") from None
    return PromptEntry(values[names[0]], sampling)
