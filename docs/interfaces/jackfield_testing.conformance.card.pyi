# Part of: jackfield_testing 0.1
from collections.abc import Iterable
from typing import Any
import pytest
from jackfield.interfaces.card import Card
from jackfield_testing.conformance.kit import ConformanceKit
class CardKit(ConformanceKit):

    @pytest.fixture
    def needs(self) -> Iterable[Any]:
        ...

    def test_the_card_is_made_without_arguments(self, card: Card) -> None:
        ...

    def test_features_are_names(self, card: Card) -> None:
        ...

    def test_features_are_those_that_may_be_asked(self, card: Card, needs: Iterable[Any]) -> None:
        ...

    def test_facts_are_plain_and_can_be_saved(self, card: Card) -> None:
        ...

    def test_a_second_probe_finds_the_same_facts(self, card: Card) -> None:
        ...

    def test_check_is_pure(self, card: Card, needs: Iterable[Any]) -> None:
        ...

    def test_check_needs_facts_alone(self, card: Card, needs: Iterable[Any]) -> None:
        ...

    def test_a_refusal_gives_reasons(self, card: Card, needs: Iterable[Any]) -> None:
        ...

    def test_options_are_a_frozen_dataclass_with_defaults(self, card: Card) -> None:
        ...
