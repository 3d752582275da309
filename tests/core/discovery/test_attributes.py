"""A card that states something of the wrong type is told so when it is loaded."""

import pytest

from jackfield.discovery.attributes import check_attributes
from jackfield.interfaces.card import Card
from jackfield.interfaces.command import Command
from jackfield_testing.platform import ReferencePlatform


class Greeting(Command):
    summary = "says hello"

    def add_arguments(self, parser): ...

    def run(self, arguments): ...


@pytest.mark.parametrize("card", [ReferencePlatform(), Greeting(), object()])
def test_what_a_contract_allows_passes(card):
    check_attributes(card)


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        (Card, "features", ["a"]),
        (Card, "features", 3),
        (Card, "features", frozenset({1})),
        (Card, "options", 5),
        (Card, "options", dict),
        (Card, "only_named", "no"),
        (Card, "facts_last", None),
        (ReferencePlatform, "serves", None),
        (ReferencePlatform, "serves", {"acme.kernels": 1}),
        (ReferencePlatform, "bases", {"acme.kernels": "Kernel"}),
        (ReferencePlatform, "precedence", "high"),
        (ReferencePlatform, "precedence", float("nan")),
        (Greeting, "summary", None),
    ],
)
def test_what_it_does_not_allow_is_named_with_what_was_given(base, name, value):
    card = type("Bad", (base,), {name: value})()

    with pytest.raises(TypeError, match=rf"Bad\.{name} must be .*, got "):
        check_attributes(card)
