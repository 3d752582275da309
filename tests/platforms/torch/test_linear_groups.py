"""Linears are grouped by how they are stored and by what rules tell apart."""

import dataclasses

import pytest

from jackfield.config import EngineConfig
from jackfield.model_spec import Quantization
from jackfield_cpu.platform import CpuPlatform
from jackfield_testing.models import tiny_spec
from jackfield_torch.linear_groups import linear_groups

SPEC = tiny_spec(4)


def stored(**linears):
    """The spec of a checkpoint that stores all linears but those that are None here, and the head, in 4 bits."""
    changes = {name.replace("_", "."): settings for name, settings in linears.items()}
    found = {name: {"bits": 4} for name in SPEC.linears if name != "head"}
    for name, settings in changes.items():
        for linear in SPEC.linears:
            if f".{name}." in f".{linear}." and linear in found:
                found[linear] = settings
    kept = {name: settings for name, settings in found.items() if settings is not None}
    return dataclasses.replace(SPEC, quantization=Quantization(method="acme", linears=kept))


def groups_of(spec, rules=None):
    select = {} if rules is None else {"quantization": rules}
    return {group.subject: group for group in linear_groups(spec, EngineConfig(select=select))}


def test_the_linears_of_a_plain_checkpoint_are_one_group():
    (group,) = groups_of(SPEC).values()

    assert (group.subject, group.method, group.modules) == ("linears", "none", SPEC.linears)
    assert group.match == {"method": "none", "layer": None, "module": None}


def test_a_name_for_all_and_rules_that_tell_nothing_apart_leave_one_group():
    assert list(groups_of(SPEC, "unquantized")) == ["linears"]
    assert list(groups_of(SPEC, [{"use": "unquantized"}])) == ["linears"]


def test_what_the_checkpoint_stores_plainly_is_a_group_of_its_own():
    found = groups_of(stored(layers_0=None))

    assert {subject: group.method for subject, group in found.items()} == {
        "linears of layer 0; head (plain weights)": "none",
        "linears of layers 1-3 (acme)": "acme",
    }


def test_other_parameters_make_another_group():
    found = groups_of(stored(down={"bits": 8}))

    settings = {subject: group.settings for subject, group in found.items()}
    assert settings == {
        "mixer.q, mixer.k, mixer.v, mixer.o, feed_forward.gate, feed_forward.up of layers 0-3 (acme)": {
            "bits": 4
        },
        "feed_forward.down of layers 0-3 (acme)": {"bits": 8},
        "head (plain weights)": {},
    }


@pytest.mark.parametrize(
    ("match", "subjects"),
    [
        ({"layer": 2}, ["linears of layer 2", "linears of layers 0-1, 3; head"]),
        ({"module": "head"}, ["linears of layers 0-3", "head"]),
        (
            {"layer": [1, 2]},
            ["linears of layer 1", "linears of layer 2", "linears of layers 0, 3; head"],
        ),
    ],
)
def test_rules_split_where_they_match(match, subjects):
    found = groups_of(SPEC, [{"match": match, "use": "acme"}])

    assert sorted(found) == sorted(subjects)


def test_a_layer_that_a_rule_gives_as_text_is_a_group_so_that_its_type_can_be_told():
    found = groups_of(SPEC, [{"match": {"layer": "2"}, "use": "acme"}])

    assert found["linears of layer 2"].match["layer"] == 2


def test_every_linear_is_in_one_group():
    found = groups_of(
        stored(layers_1=None, down={"bits": 8}), [{"match": {"layer": 3}, "use": "a"}]
    )

    modules = [module for group in found.values() for module in group.modules]
    assert sorted(modules) == sorted(SPEC.linears)


def test_the_need_carries_method_and_parameters():
    choices = CpuPlatform().choices(stored(), EngineConfig(), {})

    first, second = (point for point in choices if point.setting == "quantization")
    assert (first.need.method, first.need.settings) == ("acme", {"bits": 4})
    assert (second.need.method, second.need.settings) == ("none", {})
    assert "pip install jackfield-acme" in first.remedy
