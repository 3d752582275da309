"""The kits of parsers of chats: the result is the same however a text is cut."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from jackfield.discovery.kinds import REASONING_PARSERS, TOOL_PARSERS
from jackfield.interfaces.reasoning_parser import ChatFormat, ReasoningParser
from jackfield.interfaces.tool_parser import ToolParser
from jackfield_testing.conformance.card import CardKit

_NUM_CUTS = 20  # random ways to cut a text, beside the whole text and single characters
_FORMATS = (ChatFormat(), ChatFormat(architecture="X", template="{{ messages[0].content }}"))
# Texts of which no parser may lose anything, and for which none may raise.
_PLAIN = ("", " ", "Hello.", "Hello <b>you</b> [1] {2} (3)\n", "\n\n äöü 你好 ")


class ParsingKit(CardKit):
    """The tests that both kinds of parsers share."""

    @pytest.fixture
    def needs(self) -> tuple[ChatFormat, ...]:
        """Formats that belong to no model."""
        return _FORMATS

    def test_a_model_without_a_template_is_refused(self, card: Any) -> None:
        """Otherwise the parser would be chosen for models that it does not know."""
        assert card.check(ChatFormat(), self.facts()), "check takes a model without a template"

    def test_plain_text_is_content(self, card: Any) -> None:
        """All of the text is content."""
        for text in _PLAIN:
            for pieces in cuts(text):
                assert self.content(card, pieces) == text, f"{text!r} in pieces {pieces}"

    @abstractmethod
    def content(self, card: Any, pieces: Sequence[str]) -> str:
        """The content of an answer in these pieces that has no thoughts and no calls."""


class ToolParserKit(ParsingKit):
    """A third party's test file names the entry point and gives `samples`: a text, its content, its calls."""

    kind = TOOL_PARSERS
    samples: ClassVar[Sequence[tuple[str, str, Sequence[tuple[str, str]]]]] = ()

    def content(self, card: ToolParser, pieces: Sequence[str]) -> str:
        """The content of the text."""
        found, calls = read_calls(card, pieces)
        assert calls == [], f"{pieces} has calls: {calls}"
        return found

    def test_samples_are_read_however_they_are_cut(self, card: ToolParser) -> None:
        """Content and calls are equal. A call's name comes once, its arguments in any number of pieces."""
        if not self.samples:
            pytest.skip("names no samples")
        for text, content, calls in self.samples:
            for pieces in cuts(text):
                assert read_calls(card, pieces) == (content, list(calls)), f"in pieces {pieces}"

    def test_a_text_that_breaks_off_is_the_same_however_it_is_cut(self, card: ToolParser) -> None:
        """The text breaks off at any character, as if the model had reached its limit."""
        for text, _, _ in self.samples:
            for end in range(len(text)):
                whole, *others = cuts(text[:end])
                for pieces in others[:2]:
                    assert read_calls(card, pieces) == read_calls(card, whole), f"{text[:end]!r}"


class ReasoningParserKit(ParsingKit):
    """A third party's test file names the entry point and gives `samples`: a prompt, a text, its thought, its answer."""

    kind = REASONING_PARSERS
    plain_prompt: ClassVar[str] = ""  # a prompt after which an answer begins without a thought
    samples: ClassVar[Sequence[tuple[str, str, str, str]]] = ()

    def content(self, card: ReasoningParser, pieces: Sequence[str]) -> str:
        """The answer in the text."""
        thought, answer = read_thought(card, self.plain_prompt, pieces)
        assert thought == "", f"{pieces} has a thought: {thought!r}"
        return answer

    def test_samples_are_read_however_they_are_cut(self, card: ReasoningParser) -> None:
        """Thought and answer are equal."""
        if not self.samples:
            pytest.skip("names no samples")
        for prompt, text, thought, answer in self.samples:
            for pieces in cuts(text):
                found = read_thought(card, prompt, pieces)
                assert found == (thought, answer), f"in pieces {pieces}"


def cuts(text: str) -> Iterator[Sequence[str]]:
    """The whole text, the text as single characters, and the text cut at random."""
    yield [text]
    yield list(text)
    chosen = random.Random(len(text))
    for _ in range(_NUM_CUTS if len(text) > 1 else 0):
        places = sorted(chosen.sample(range(1, len(text)), chosen.randint(1, len(text) - 1)))
        yield [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def read_calls(card: ToolParser, pieces: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """Content, and (name, arguments) of each call."""
    stream = card.open(())
    content, calls = "", list[tuple[str, str]]()
    for delta in (*map(stream.push, pieces), stream.finish()):
        content += delta.content
        for call in delta.calls:
            if call.name is not None:
                assert call.index == len(calls), f"call {call.index} comes as number {len(calls)}"
                calls.append((call.name, ""))
            name, arguments = calls[call.index]
            calls[call.index] = (name, arguments + call.arguments)
    return content, calls


def read_thought(card: ReasoningParser, prompt: str, pieces: Sequence[str]) -> tuple[str, str]:
    """Thought and answer."""
    stream = card.open(prompt)
    deltas = [*map(stream.push, pieces), stream.finish()]
    return "".join(d.reasoning for d in deltas), "".join(d.content for d in deltas)
