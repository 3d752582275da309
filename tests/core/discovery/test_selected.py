"""A worker makes what its activation plan names, and nothing else."""

from dataclasses import replace

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.checkpoint.dummy import DummyCheckpoint
from jackfield.config import EngineConfig
from jackfield.discovery.content import fingerprint
from jackfield.discovery.selected import (
    check_installed,
    load_plugin,
    load_selected,
    open_checkpoint,
)
from jackfield.errors import PluginDrift, PluginNotFound
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.worker import WorkerContext
from jackfield.scheduler.policies import FcfsPolicy, PriorityPolicy
from jackfield_testing.models import tiny_spec, write_model


def selection(kind, target, *covers):
    name = f"jackfield.{kind}"
    plugin = PluginRef(
        kind=name, major=1, name="acme", distribution="acme", version="1", target=target
    )
    return Selection(subject="engine", plugin=plugin, covers=covers)


def test_the_card_is_that_of_the_module():
    plan = ActivationPlan(
        selections=(
            selection("schedulers", "jackfield.scheduler.policies:FcfsPolicy", "layers.0"),
            selection("schedulers", "jackfield.scheduler.policies:PriorityPolicy", "layers.1"),
        )
    )

    by_module = plan.by_module("jackfield.schedulers")

    assert isinstance(load_selected(plan, "schedulers"), FcfsPolicy)
    assert isinstance(load_plugin(plan, by_module["layers.1"]), PriorityPolicy)


def test_what_the_plan_does_not_name_is_not_made():
    with pytest.raises(PluginNotFound, match="the activation plan has no tokenizers"):
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


@pytest.fixture
def acme(distributions):
    """acme 1, installed with a RECORD; its module can be altered."""
    folder = distributions.add("acme", {}, version="1", modules={"acme_model": "build = None\n"})
    (info,) = folder.glob("*.dist-info")
    (info / "RECORD").write_text("acme_model.py,sha256=x,13\n")
    return folder


PLAN = ActivationPlan(selections=(selection("models", "acme_model:build"),))


def test_the_distributions_of_the_plan_are_there(acme):
    check_installed(replace(PLAN, contents={"acme": fingerprint("acme")}))


def test_another_version_is_drift(acme):
    other = replace(PLAN.selections[0].plugin, version="2")

    with pytest.raises(PluginDrift, match=r"of acme 2, but here 1 is installed.*acme==2"):
        check_installed(ActivationPlan(selections=(Selection(subject="model", plugin=other),)))


def test_the_same_version_with_other_content_is_drift(acme):
    plan = replace(PLAN, contents={"acme": fingerprint("acme")})
    (info,) = acme.glob("*.dist-info")
    (info / "RECORD").write_text("acme_model.py,sha256=y,13\n")

    with pytest.raises(PluginDrift, match="its content here is another"):
        check_installed(plan)


def test_a_distribution_that_is_gone_is_drift():
    with pytest.raises(PluginDrift, match="acme 1, but here no such distribution is installed"):
        check_installed(PLAN)


def test_where_the_plan_does_not_state_the_content_the_version_is_enough(acme):
    check_installed(replace(PLAN, contents={"acme": ""}))
