"""Benchmarks small enough for tests."""

import pytest

from jackfield_bench import engine_step


@pytest.fixture
def few_steps(monkeypatch):
    """Lets `bench scheduler` measure an engine of four rows for 16 steps."""
    small = {"ROWS": 4, "QUEUED": 5, "STEPS": 16, "WARM_UP": 4, "VOCABULARY": 300}
    for name, value in small.items():
        monkeypatch.setattr(engine_step, name, value)
