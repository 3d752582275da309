"""The schema as a table: every setting with its key, type, default and environment variable."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from jackfield.config.schema import EngineConfig
from jackfield.environment import PREFIX

# The schema does not name the keys of these sections: plugins and users do.
OPEN_SECTIONS = ("select", "adapters", "options")


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a settings dataclass."""

    key: str  # "cache.block_size"
    type: type  # str, int, float, bool or tuple (of str)
    optional: bool  # True: None is allowed
    default: Any

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable_of(self.key)

    @property
    def type_name(self) -> str:
        """The type in words, for messages and the documentation."""
        words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
        name = words.get(self.type, "list of texts")
        return f"{name} or none" if self.optional else name


def variable_of(key: str) -> str:
    """The environment variable of a setting. For an option of a plugin, two underscores follow the plugin's name."""
    section, _, name = key.partition(".")
    apart = "__" if section == "options" else "_"
    return f"{PREFIX}{section}_{name.replace('.', apart)}".upper()


def settings_of(cls: type, section: str) -> dict[str, Setting]:
    """The settings of one dataclass by key, with `section` in front."""
    hints = get_type_hints(cls)
    found = {}
    for item in fields(cls):
        base, optional = _base_type(hints[item.name])
        factory = item.default_factory
        default = item.default if factory is MISSING else factory()
        key = f"{section}.{item.name}"
        found[key] = Setting(key, base, optional, default)
    return found


def _base_type(hint: Any) -> tuple[type, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [argument for argument in get_args(hint) if argument is not type(None)]
        return _base_type(inner[0])[0], True
    return get_origin(hint) or hint, False


@cache
def sections() -> dict[str, type]:
    """The closed sections by name, with the dataclass of each."""
    hints = get_type_hints(EngineConfig)
    return {name: cls for name, cls in hints.items() if name not in OPEN_SECTIONS}


@cache
def all_settings() -> dict[str, Setting]:
    """Every setting of the closed sections by key."""
    return {
        key: setting
        for section, cls in sections().items()
        for key, setting in settings_of(cls, section).items()
    }


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that names an unknown word: the nearest known word, or a full stop."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else "."
