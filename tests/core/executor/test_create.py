"""Whatever a platform does while its worker is made, the error names its distribution and says what to do."""

import pytest

from jackfield.errors import CheckpointError, PluginLoadError
from jackfield.executor.create import create_worker
from jackfield_testing.scripted import ScriptedPlatform, ScriptedWorker


def test_the_worker_is_that_of_the_platform(make_context):
    assert isinstance(create_worker(make_context()), ScriptedWorker)


@pytest.mark.parametrize(
    ("script", "told"), [("raise", "RuntimeError: scripted at create"), ("exit", "SystemExit: 3")]
)
def test_a_platform_that_raises_is_named(make_context, script, told):
    with pytest.raises(
        PluginLoadError, match=rf"(?s)'scripted' of jackfield .*{told}.*plugins\.deny"
    ):
        create_worker(make_context(create=script))


def test_a_platform_that_makes_no_worker_is_named(make_context, monkeypatch):
    monkeypatch.setattr(ScriptedPlatform, "create_worker", lambda self, context: "x")

    with pytest.raises(PluginLoadError, match=r"'scripted' of jackfield .*Worker, got 'x'"):
        create_worker(make_context())


def test_what_it_says_on_purpose_passes(make_context):
    with pytest.raises(CheckpointError):
        create_worker(make_context(create="raise_on_purpose"))
