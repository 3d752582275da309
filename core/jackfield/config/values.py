"""Values of settings: text parsed by the setting's type, and typed values checked against it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

from jackfield.config.provenance import Source
from jackfield.config.settings import Setting
from jackfield.errors import ConfigError

NONE = "none"  # stands for None in files, variables and options, because TOML has no null
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_BOOLEANS |= {"on": True, "off": False}


def parse_text(setting: Setting, text: str, source: Source) -> Any:
    """The value of a setting from `text`, which a variable or an option holds. Raises ConfigError."""
    word = text.strip()
    if _is_none(setting, word.lower()):
        return _none_of(setting)
    try:
        return _PARSERS[setting.type](word)
    except (ValueError, KeyError):
        raise _wrong_value(setting, text, source) from None


def check_value(setting: Setting, value: Any, source: Source) -> Any:
    """A value from a file or from code, converted to the setting's own type. Raises ConfigError."""
    if _is_none(setting, value):
        return _none_of(setting)
    if setting.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if setting.type is tuple:
        if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
            return tuple(value)
    elif isinstance(value, setting.type) and (
        setting.type is bool or not isinstance(value, bool)  # True is an int in Python
    ):
        return value
    raise _wrong_value(setting, value, source)


def parse_open(text: str) -> Any:
    """The value of a key in an open section: JSON or TOML if `text` is one of them, otherwise the text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _is_none(setting: Setting, value: Any) -> bool:
    """True if a value means "none" for a setting that allows none. For a list this is the empty list."""
    return (setting.optional or setting.type is tuple) and value in (None, NONE)


def _none_of(setting: Setting) -> Any:
    return None if setting.optional else ()


def _wrong_value(setting: Setting, value: Any, source: Source) -> ConfigError:
    return ConfigError(
        f"{setting.key} must be a {setting.type_name}, got {value!r} ({source}). "
        f"Default: {setting.default!r}"
    )


def _parse_list(text: str) -> tuple[str, ...]:
    """Words separated by commas, or a TOML list if the text begins like one. Raises ValueError."""
    if text.startswith(("[", '"', "'")):
        parsed = tomllib.loads(f"list = {text if text.startswith('[') else f'[{text}]'}")
        if len(parsed) > 1 or not all(isinstance(entry, str) for entry in parsed["list"]):
            raise ValueError(text)
        return tuple(parsed["list"])
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


_PARSERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: lambda text: _BOOLEANS[text.lower()],
    tuple: _parse_list,
}
