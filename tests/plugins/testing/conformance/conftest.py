"""Kits of plugins that stand in files beside the tests."""

from pathlib import Path

import pytest


@pytest.fixture
def kit_of(monkeypatch):
    """A kit for the one-file plugin MODULE:CLASS, under the name `mine`."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(kit, target, **attributes):
        line = f"{kit.kind}.mine={target}"
        return type("Kit", (kit,), {"name": "mine", "plugins": (line,), **attributes})

    return make
