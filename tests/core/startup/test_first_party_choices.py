"""The default choices among the first-party plugins of the core."""

import pytest

from jackfield.config import load_config
from jackfield.errors import CheckpointError, SelectionError
from jackfield.startup.blueprint import make_blueprint
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

pytestmark = pytest.mark.core_model


@pytest.fixture
def plan(tmp_path):
    write_model(tmp_path)

    def plan(**more):
        settings = {**REFERENCE_SETTINGS, **more}
        code = {"model.reference": str(tmp_path)} | {
            k: v for k, v in settings.items() if v is not None
        }
        return make_blueprint(load_config(environ={}, code=code), thorough=True)

    return plan


def chosen(blueprint):
    return {decision.kind: decision.chosen for decision in blueprint.decisions}


def test_a_folder_is_local_and_one_rank_runs_inline_first_come_first_served(plan):
    found = chosen(plan())

    assert (found["model_sources"], found["executors"], found["schedulers"]) == (
        "local",
        "inline",
        "fcfs",
    )


def test_several_ranks_run_in_processes(plan):
    assert chosen(plan(**{"executor.tensor_parallel": 2}))["executors"] == "multiprocess"


def test_made_up_weights_are_never_chosen_unasked(plan):
    with pytest.raises(CheckpointError, match="no weights that can be read"):
        plan(**{"select.weight_format": None})


def test_the_reference_platform_is_never_chosen_unasked(plan):
    with pytest.raises(SelectionError) as caught:
        plan(**{"select.platform": None, "plugins.deny": ["cpu@jackfield-cpu"]})

    assert "reference" in str(caught.value)
    assert 'select.platform = "reference"' in str(caught.value)
