"""If one decision fails, all decisions that do not depend on it are still made."""

import pickle

import pytest

from jackfield.config import load_config
from jackfield.errors import SelectionError, UnsupportedModelError
from jackfield.startup.blueprint import make_blueprint


@pytest.fixture
def draft(world):
    def draft(settings=None, *, words=True, **config):
        folder = world.write_model(words=words, **config)
        code = {"model.reference": str(folder), **(settings or {})}
        loaded = load_config(environ={}, code=code)
        return make_blueprint(loaded, world.distributions.scan(), thorough=True, keeps_going=True)

    return draft


def chosen(draft):
    return {(d.kind, d.subject): d.chosen for d in draft.activation.decisions}


def test_a_draft_without_problems_is_a_blueprint(draft, world):
    found = draft()

    assert found.problems == ()
    assert found.activation.digest == world.plan().activation.digest


def test_an_unknown_architecture_leaves_open_only_what_depends_on_it(draft):
    found = draft(architectures=["HugeForCausalLM"])

    assert chosen(found) == {
        ("model_sources", "model"): "folder",
        ("weight_formats", "model"): "config_only",
        ("models", "model"): None,
        ("tokenizers", "model"): "words",
        ("platforms", "engine"): None,
        ("executors", "engine"): None,
        ("schedulers", "engine"): "plain",
        ("hooks", "watcher"): "watcher",
    }
    (problem,) = found.problems
    assert (problem.kind, problem.error) == ("models", "UnsupportedModelError")
    assert "pip install jackfield-huge" in problem.text


def test_what_is_left_open_says_for_what_it_waits(draft):
    decisions = draft(architectures=["HugeForCausalLM"]).activation.decisions

    (platforms,) = [decision for decision in decisions if decision.kind == "platforms"]
    assert platforms.decided_by == "nothing yet: depends on the model"
    assert {str(candidate.verdict) for candidate in platforms.candidates} == {"not asked"}


def test_without_a_platform_that_fits_the_rest_is_decided(draft):
    found = draft({"model.dtype": "float64", "select.platform": "acme"})

    assert chosen(found)["platforms", "engine"] is None
    assert chosen(found)["schedulers", "engine"] == "plain"
    assert [problem.kind for problem in found.problems] == ["platforms"]


def test_a_model_that_no_source_takes_leaves_open_what_reads_it(draft):
    found = draft({"model.reference": "nosuch"})

    (problem,) = found.problems
    assert problem.text.startswith("no model 'nosuch': there is no such file or folder here")
    assert chosen(found)["weight_formats", "model"] is None
    assert chosen(found)["schedulers", "engine"] == "plain"


def test_several_groups_may_fail_each_with_its_problem(draft):
    rules = [{"match": {"layer": 0}, "use": "fasd"}, {"use": "slo"}]

    found = draft({"select.kernel": rules})

    assert [problem.subject for problem in found.problems] == ["layer 0", "layer 1"]
    assert chosen(found)["jackfield_acme.kernels", "layer 0"] is None


def test_a_wrong_setting_is_a_problem_beside_all_decisions(draft):
    found = draft({"model.max_length": 65, "select.kernle": "fast"})

    assert [(p.kind, p.error) for p in found.problems] == [
        ("", "ConfigError"),
        ("", "UnknownSettingError"),
    ]
    assert None not in chosen(found).values()


def test_what_a_plugin_raises_is_a_problem_too(draft):
    found = draft(bad=True)

    (problem,) = found.problems
    assert "'TinyForCausalLM' of acme 1.0" in problem.text
    assert "KeyError: 'bad'" in problem.text


def test_without_going_on_the_first_problem_is_raised_with_the_decisions_up_to_it(world):
    with pytest.raises(UnsupportedModelError) as caught:
        world.plan(architectures=["HugeForCausalLM"])

    decisions = caught.value.decisions
    assert [decision.kind for decision in decisions] == [
        "model_sources",
        "weight_formats",
        "models",
    ]
    assert decisions[-1] == caught.value.decision


def test_an_error_crosses_processes_with_its_decisions(world):
    with pytest.raises(SelectionError) as caught:
        world.plan({"select.tokenizer": "words"}, words=False)

    again = pickle.loads(pickle.dumps(caught.value))

    assert (str(again), again.summary) == (str(caught.value), caught.value.summary)
    assert (again.decision, again.decisions) == (caught.value.decision, caught.value.decisions)
