"""Settings as TOML: reads a file with the line of each key, and writes a file that reproduces a run."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jackfield.config.schema import EngineConfig
from jackfield.config.settings import OPEN_SECTIONS
from jackfield.config.values import NONE
from jackfield.errors import ConfigError

_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"""\s*([\w.\-"' ]+?)\s*=""")


def read_toml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The tables of a file, and the line of each dotted key in it. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte-order mark
    except OSError as error:
        raise ConfigError(
            f"cannot read the config file {path}: {error.strerror or error}. "
            "Give the path of a TOML file with --config or JACKFIELD_CONFIG"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the config file {path} is no text in UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}). "
            "Convert it, e.g. with: iconv -f latin1 -t utf-8"
        ) from None
    try:
        return tomllib.loads(text), _lines(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the config file {path} is no valid TOML: {error}") from None


def line_of(key: str, lines: Mapping[str, int]) -> int | None:
    """The line of a dotted key, otherwise of the table or inline table around it."""
    while key not in lines and "." in key:
        key = key.rpartition(".")[0]
    return lines.get(key)


def _lines(text: str) -> dict[str, int]:
    """Line numbers by dotted key. Good enough for messages: a key inside a multi-line string would be found too."""
    table = ""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _plain(header[1])
            found.setdefault(table, number)
        elif entry := _KEY.match(line):
            found.setdefault(f"{table}.{_plain(entry[1])}" if table else _plain(entry[1]), number)
    return found


def _plain(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)


def to_toml(config: EngineConfig) -> str:
    """The whole effective config. Loading it again gives an equal config."""
    tables = asdict(config)
    parts = []
    for section, values in tables.items():
        if section in OPEN_SECTIONS and not values:
            continue
        rows = [f"{_name(key)} = {_value(value)}" for key, value in values.items()]
        parts.append("\n".join([f"[{section}]", *rows]))
    return "\n\n".join(parts) + "\n"


def _name(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _text(key)


def _value(value: Any) -> str:
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_name(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)  # TOML has inf and nan too


def _text(text: str) -> str:
    """A TOML basic string: as JSON, but DEL is escaped too, which TOML does not allow unescaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
