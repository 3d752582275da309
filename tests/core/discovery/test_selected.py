"""A worker makes what its activation plan names, and nothing else."""

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.checkpoint.dummy import DummyCheckpoint
from jackfield.config import EngineConfig
from jackfield.discovery.selected import load_selected, open_checkpoint
from jackfield.errors import PluginNotFound
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.worker import WorkerContext
from jackfield.scheduler.policies import FcfsPolicy, PriorityPolicy
from jackfield.testing.models import tiny_spec, write_model


def selection(kind, target, subject="engine"):
    name = f"jackfield.{kind}"
    plugin = PluginRef(
        kind=name, major=1, name="acme", distribution="acme", version="1", target=target
    )
    return Selection(subject=subject, plugin=plugin)


def test_the_card_is_that_of_the_subject():
    plan = ActivationPlan(
        selections=(
            selection("schedulers", "jackfield.scheduler.policies:FcfsPolicy", "day"),
            selection("schedulers", "jackfield.scheduler.policies:PriorityPolicy", "night"),
        )
    )

    assert isinstance(load_selected(plan, "schedulers"), FcfsPolicy)
    assert isinstance(load_selected(plan, "jackfield.schedulers", "night"), PriorityPolicy)


def test_what_the_plan_does_not_name_is_not_made():
    with pytest.raises(PluginNotFound, match="no tokenizers for any subject"):
        load_selected(ActivationPlan(selections=()), "tokenizers")


def test_the_checkpoint_is_opened_by_the_format_of_the_plan(tmp_path):
    folder = write_model(tmp_path)
    context = WorkerContext(
        activation=ActivationPlan(
            selections=(selection("weight_formats", "jackfield.checkpoint.dummy:DummyFormat"),)
        ),
        config=EngineConfig(),
        spec=tiny_spec(),
        files=ModelFiles(reference=str(folder), path=folder),
    )

    with open_checkpoint(context) as checkpoint:
        assert isinstance(checkpoint, DummyCheckpoint)
