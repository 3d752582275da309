# Part of: jackfield_testing 0.1
from collections.abc import Callable
from pathlib import Path
from typing import Any
import pytest
from jackfield.client import LLM
from jackfield.discovery.kinds import SPECULATORS
from jackfield.interfaces.speculator import Drafter
from jackfield.interfaces.speculator import Speculator
from jackfield.interfaces.speculator import SpeculatorNeed
from jackfield_testing.conformance.card import CardKit
class SpeculatorKit(CardKit):
    kind = SPECULATORS

    @pytest.fixture
    def needs(self) -> tuple[SpeculatorNeed, ...]:
        ...

    @pytest.fixture
    def make_drafter(self, card: Speculator) -> Callable[[], Drafter]:
        ...

    @pytest.mark.parametrize('num_tokens', [1, 5])
    @pytest.mark.parametrize('num_unknown', [0, 1, 7])
    def test_there_are_at_most_as_many_guesses_as_wanted(self, make_drafter: Callable[[], Drafter], num_unknown: int, num_tokens: int) -> None:
        ...

    def test_a_drafter_leaves_the_text_as_it_is(self, make_drafter: Callable[[], Drafter]) -> None:
        ...

    def test_drafters_of_two_requests_do_not_mix(self, make_drafter: Callable[[], Drafter]) -> None:
        ...

    def test_guesses_are_made_quickly(self, make_drafter: Callable[[], Drafter]) -> None:
        ...

    @pytest.mark.parametrize('temperature', [0.0, 1.0])
    def test_answers_are_those_without_guesses(self, tmp_path: Path, temperature: float) -> None:
        ...

    def open(self, folder: Path, settings: dict[str, Any]) -> LLM:
        ...
