"""Finds kits by the kind of plugin that they test, and makes a kit for each plugin to test."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

import pytest

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings
from jackfield.discovery.failure import check_conflict
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import KITS, scan_installed
from jackfield.errors import JackfieldError
from jackfield_testing.conformance.kit import ConformanceKit

_SLASH = "/"  # between kind and plugin, in the name of a kit for one plugin


def find_kits(words: Iterable[str]) -> list[type[ConformanceKit]]:
    """The kits for the words of --jackfield-conformance, KIND or KIND:NAME. Raises pytest.UsageError."""
    registry = PluginRegistry.scan(PluginSettings(probe="inline"))
    registry.serve_all()
    try:
        return [kit for word in words for kit in _of_word(registry, word)]
    except JackfieldError as error:
        raise pytest.UsageError(f"--jackfield-conformance: {error}") from error


def kit_of(kind: str) -> type[ConformanceKit]:
    """The kit of a kind, by its full name or only its last part. Raises pytest.UsageError."""
    kits = [ref for ref in scan_installed().kits if _SLASH not in ref.name]
    found = [ref for ref in kits if kind in (ref.name, _last(ref.name))]
    names = sorted({ref.name for ref in found})
    if not names:
        known = sorted({ref.name for ref in kits})
        near = difflib.get_close_matches(kind, [*known, *map(_last, known)], 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise pytest.UsageError(
            f"there is no conformance kit of the kind {kind!r}{hint}; kits: {', '.join(known) or 'none'}. "
            f"A distribution provides one in the group {KITS}"
        )
    if len(names) > 1:
        raise pytest.UsageError(
            f"the kind {kind!r} may be {' or '.join(names)}: write its full name"
        )
    check_conflict(found)
    return _load(found[0])


def _of_word(registry: PluginRegistry, word: str) -> list[type[ConformanceKit]]:
    kind, _, name = word.partition(":")
    kit = kit_of(kind)
    refs = [registry.ref(kit.kind, name)] if name else registry.refs(kit.kind)
    if not refs:
        raise pytest.UsageError(f"no plugin of the kind {kit.kind} is installed: nothing to test")
    return [_named(_own(kit, ref), ref, name or _name(ref, refs)) for ref in refs]


def _own(kit: type[ConformanceKit], plugin: PluginRef) -> type[ConformanceKit]:
    """The kit that the plugin's own distribution brings, with samples of its form; otherwise the kit of the kind."""
    name = f"{kit.kind}{_SLASH}{plugin.name}"
    for ref in scan_installed().kits:
        if (ref.name, ref.distribution) == (name, plugin.distribution):
            own = _load(ref)
            if not issubclass(own, kit):
                raise pytest.UsageError(
                    f"the conformance kit {name} ({ref.target} of {ref.distribution} {ref.version}) "
                    f"does not extend {kit.__module__}.{kit.__name__}, the kit of its kind"
                )
            return own
    return kit


def _name(ref: PluginRef, refs: Iterable[PluginRef]) -> str:
    is_shared = sum(other.name == ref.name for other in refs) > 1
    return f"{ref.name}@{ref.distribution}" if is_shared else ref.name


def _named(kit: type[ConformanceKit], ref: PluginRef, name: str) -> type[ConformanceKit]:
    return type(f"{_last(ref.kind)}:{name}", (kit,), {"name": name, "__module__": kit.__module__})


def _last(kind: str) -> str:
    return kind.rpartition(".")[2]


def _load(ref: PluginRef) -> type[ConformanceKit]:
    module, _, attribute = ref.target.partition(":")
    try:
        kit: Any = importlib.import_module(module)
        for part in attribute.split("."):
            kit = getattr(kit, part)
    except Exception as error:
        raise pytest.UsageError(
            f"cannot load the conformance kit of {ref.name} ({ref.target} of {ref.distribution} "
            f"{ref.version}): {type(error).__name__}: {error}. Install what it needs"
        ) from error
    if not (isinstance(kit, type) and issubclass(kit, ConformanceKit)):
        raise pytest.UsageError(
            f"the conformance kit of {ref.name} ({ref.target} of {ref.distribution} {ref.version}) "
            f"is {kit!r}, no subclass of {ConformanceKit.__module__}.{ConformanceKit.__name__}"
        )
    return kit
