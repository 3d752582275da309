"""What rules tell apart, and how layers are named."""

import pytest

from jackfield.config import EngineConfig
from jackfield_torch.rule_facts import NamedFacts, layers_in_words, shared_facts


def named(*rules):
    return NamedFacts(EngineConfig(select={"attention": list(rules)}), "attention")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((0,), "layer 0"),
        ((0, 1, 2), "layers 0-2"),
        ((0, 1, 3, 5, 6, 7), "layers 0-1, 3, 5-7"),
    ],
)
def test_layers_are_named_as_ranges(layers, words):
    assert layers_in_words(layers) == words


def test_without_rules_nothing_is_told_apart():
    facts = NamedFacts(EngineConfig(select={"attention": "acme"}), "attention")

    assert facts.of({"layer": 1}) == facts.of({"layer": 2})


@pytest.mark.parametrize("value", [3, [2, 3], "3"], ids=["one", "any of", "of a wrong type"])
def test_a_value_that_a_rule_names_is_told_apart_from_the_rest(value):
    facts = named({"match": {"layer": value}, "use": "acme"}, {"use": "other"})

    assert facts.of({"layer": 3}) != facts.of({"layer": 4})
    assert facts.of({"layer": 4}) == facts.of({"layer": 5})


def test_a_fact_that_differs_inside_a_group_is_none():
    assert shared_facts([{"layer": 1, "window": True}, {"layer": 2, "window": True}]) == {
        "layer": None,
        "window": True,
    }
