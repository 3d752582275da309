"""Finds parts of a value that can be changed, and tensor libraries that building a spec imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from jackfield.dtypes import DType
from jackfield_testing.conformance.kit import HEAVY

_PLAIN = (str, int, float, bool, type(None), Enum, DType)
_BUILD = """
import functools, importlib, json, sys
from jackfield.interfaces.model import ConfigReader
path, module, attribute, configs, heavy = (json.loads(word) for word in sys.argv[1:])
sys.path[:] = path
build = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
for config in configs:
    build(ConfigReader(config))
print()
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
_BUILD_S = 60  # enough for a busy machine


def changeable_parts(value: Any, place: str = "spec") -> list[str]:
    """Places at which a value can be changed: lists, sets, dataclasses that are not frozen, and values of mappings."""
    return list(_changeable(value, place))


def imports_of_build(target: str, configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The tensor libraries that are loaded after `target`, MODULE:FUNCTION, has built a spec of each config."""
    module, _, attribute = target.partition(":")
    words = [
        [str(Path.cwd()), *sys.path],
        module,
        attribute,
        [dict(config) for config in configs],
        list(HEAVY),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, *map(json.dumps, words)],
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )
    assert done.returncode == 0, f"building a spec with {target} fails:\n{done.stderr}"
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _changeable(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _changeable(item, f"{place}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _changeable(item, f"{place}[{key!r}]")
    elif is_dataclass(value) and _is_frozen(type(value)):
        for item in fields(value):
            yield from _changeable(getattr(value, item.name), f"{place}.{item.name}")
    else:
        yield f"{place} ({type(value).__name__})"


def _is_frozen(cls: Any) -> bool:
    return bool(cls.__dataclass_params__.frozen)
