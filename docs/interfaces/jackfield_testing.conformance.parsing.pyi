# Part of: jackfield_testing 0.1
from abc import abstractmethod
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import REASONING_PARSERS
from jackfield.discovery.kinds import TOOL_PARSERS
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield.interfaces.reasoning_parser import ReasoningParser
from jackfield.interfaces.tool_parser import ToolParser
from jackfield_testing.conformance.card import CardKit
class ParsingKit(CardKit):

    @pytest.fixture
    def needs(self) -> tuple[ChatFormat, ...]:
        ...

    def test_a_model_without_a_template_is_refused(self, card: Any) -> None:
        ...

    def test_plain_text_is_content(self, card: Any) -> None:
        ...

    @abstractmethod
    def content(self, card: Any, pieces: Sequence[str]) -> str:
        ...
class ToolParserKit(ParsingKit):
    kind = TOOL_PARSERS
    samples: ClassVar[Sequence[tuple[str, str, Sequence[tuple[str, str]]]]] = ()

    def content(self, card: ToolParser, pieces: Sequence[str]) -> str:
        ...

    def test_samples_are_read_however_they_are_cut(self, card: ToolParser) -> None:
        ...

    def test_a_text_that_breaks_off_is_the_same_however_it_is_cut(self, card: ToolParser) -> None:
        ...
class ReasoningParserKit(ParsingKit):
    kind = REASONING_PARSERS
    plain_prompt: ClassVar[str] = ''
    samples: ClassVar[Sequence[tuple[str, str, str, str]]] = ()

    def content(self, card: ReasoningParser, pieces: Sequence[str]) -> str:
        ...

    def test_samples_are_read_however_they_are_cut(self, card: ReasoningParser) -> None:
        ...
def cuts(text: str) -> Iterator[Sequence[str]]:
    ...
def read_calls(card: ToolParser, pieces: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    ...
def read_thought(card: ReasoningParser, prompt: str, pieces: Sequence[str]) -> tuple[str, str]:
    ...
