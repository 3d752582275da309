"""Finds an installed plugin as an engine does, for the tests of its author."""

from __future__ import annotations

from typing import Any

from jackfield.discovery.kinds import CORE_KINDS
from jackfield.discovery.registry import PluginRegistry


def load_plugin(kind: str, name: str) -> Any:
    """The card of the plugin `name`, or the function of a model, through its entry point.

    `kind` is a group without its major: "jackfield.schedulers", "jackfield_torch.attention_backends". Raises
    PluginNotFound, PluginIncompatible, PluginConflict or PluginLoadError, as an engine would.
    """
    registry = PluginRegistry.scan()
    if kind not in CORE_KINDS:
        registry.serve_all()  # platforms name the kinds of their runtimes
    return registry.card(registry.ref(kind, name))
