# Part of: jackfield_testing 0.1
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import STRUCTURED_OUTPUT
from jackfield.grammar import Grammar
from jackfield.interfaces.structured_output import StructuredOutput
from jackfield.interfaces.structured_output import StructuredOutputNeed
from jackfield_testing.conformance.card import CardKit
class StructuredOutputKit(CardKit):
    kind = STRUCTURED_OUTPUT
    samples: ClassVar[tuple[tuple[Mapping[str, Any], Callable[[str], bool]], ...]] = ()

    @pytest.fixture
    def needs(self, card: StructuredOutput) -> tuple[StructuredOutputNeed, ...]:
        ...

    @pytest.fixture
    def grammars(self, card: StructuredOutput) -> list[tuple[Grammar, Callable[[str], bool], Mapping[str, Any]]]:
        ...

    def test_whatever_masks_allow_is_an_answer(self, grammars: list[Any]) -> None:
        ...

    def test_what_masks_do_not_allow_is_refused(self, grammars: list[Any]) -> None:
        ...

    def test_a_state_goes_back_as_far_as_it_came(self, grammars: list[Any]) -> None:
        ...

    def test_states_of_one_grammar_do_not_mix(self, grammars: list[Any]) -> None:
        ...

    @pytest.mark.parametrize('depth', [1, 3])
    def test_a_whole_engine_answers_so(self, tmp_path: Path, depth: int) -> None:
        ...
