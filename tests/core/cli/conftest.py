"""Commands that try plugins in this process."""

import pytest


@pytest.fixture
def probe_inline(jackfield, monkeypatch):
    """Plugins are tried in this process, which saves a subprocess for each test."""
    monkeypatch.setenv("JACKFIELD_PLUGINS_PROBE", "inline")
