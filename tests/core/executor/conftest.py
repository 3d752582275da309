"""A platform whose workers do what the options of a test say, importable by worker processes."""

import sys
from pathlib import Path

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.config import EngineConfig, ExecutorSettings
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.worker import WorkerContext
from jackfield.testing.models import tiny_spec

PLATFORM = Path(__file__).with_name("scripted_platform.py")


@pytest.fixture
def make_context(tmp_path, monkeypatch):
    """A context for the scripted platform; `script` are its options."""
    monkeypatch.syspath_prepend(str(PLATFORM.parent))
    sys.modules.pop(PLATFORM.stem, None)

    def make(num_ranks=1, *, start_timeout_s=60.0, depth=2, **script):
        plugin = PluginRef(
            kind="jackfield.platforms",
            major=1,
            name="scripted",
            distribution="tests",
            version="1",
            target=f"{PLATFORM.stem}:ScriptedPlatform",
        )
        executor = ExecutorSettings(
            tensor_parallel=num_ranks, start_timeout_s=start_timeout_s, depth=depth
        )
        return WorkerContext(
            activation=ActivationPlan(selections=(Selection(subject="engine", plugin=plugin),)),
            config=EngineConfig(executor=executor, options={"scripted": script}),
            spec=tiny_spec(),
            files=ModelFiles(reference="none", path=tmp_path),
        )

    return make


@pytest.fixture
def opened():
    """Closes what it is given when the test is over."""
    executors = []

    def keep(executor):
        executors.append(executor)
        return executor

    yield keep
    for executor in executors:
        executor.close()
