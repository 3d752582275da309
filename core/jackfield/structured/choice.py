"""Structured output of the form `choice`: the answer is one of several texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.errors import RequestError
from jackfield.grammar import Grammar, GrammarState
from jackfield.interfaces.structured_output import (
    GrammarCompiler,
    StructuredOutput,
    Vocabulary,
)
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.sampling import Structured

# Texts to put before a choice, so that its first token is one from the middle of a text. They are tried in order.
_BEFORE = (":", "\n", "x ", "")
# Of all texts of a choice together. A node of the tree takes about 300 bytes, and there is at most one for each character.
_MOST_CHARACTERS = 1 << 18


class ChoiceOutput(StructuredOutput):
    """Follows the tokens that the tokenizer makes of each text. Needs no library."""

    forms: ClassVar[frozenset[str]] = frozenset({"choice"})

    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        """The compiler for one model."""
        return ChoiceCompiler(vocabulary)


class ChoiceCompiler(GrammarCompiler):
    """Makes a tree of tokens for a choice."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def compile(self, structured: Structured) -> Grammar:
        """The tree of all texts. Raises RequestError if the value is no list of texts."""
        texts = structured.value
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
            raise RequestError(f"structured.choice must be a list of texts, got {texts!r:.200}")
        for text in texts:
            if not isinstance(text, str) or not text:
                raise RequestError(
                    f"structured.choice must hold texts that are not empty, got {text!r:.200}"
                )
        if (size := sum(map(len, texts))) > _MOST_CHARACTERS:
            raise RequestError(
                f"structured.choice holds {len(texts)} texts of {size} characters together; at most {_MOST_CHARACTERS} "
                "are taken. Try fewer texts, or a regular expression (structured.regex)"
            )
        root = Node()
        for text in texts:
            root.add(_tokens_of(text, self._vocabulary.tokenizer))
        ends = self._vocabulary.end_token_ids
        root.close(ends)
        if not ends and root.has_open_end:
            raise RequestError(
                "structured.choice holds a text with which another begins, and this model has no end token that "
                "tells them apart; leave out one of them"
            )
        return ChoiceGrammar(root)


class Node:
    """A node of the tree: it maps tokens to the next nodes."""

    __slots__ = ("children", "is_end")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.is_end = False  # True: a text ends here

    def add(self, token_ids: Sequence[int]) -> None:
        """Add a path of these tokens to the tree."""
        node = self
        for token_id in token_ids:
            node = node.children.setdefault(token_id, Node())
        node.is_end = True

    def close(self, end_token_ids: Sequence[int]) -> None:
        """If another text goes on where a text ends, let the end tokens finish the shorter text."""
        for child in tuple(self.children.values()):
            child.close(end_token_ids)
        if self.is_end and self.children:
            for token_id in end_token_ids:
                self.children[token_id] = Node()

    @property
    def has_open_end(self) -> bool:
        """True if some text ends where another text goes on."""
        below = any(child.has_open_end for child in self.children.values())
        return below or (self.is_end and bool(self.children))


class ChoiceGrammar(Grammar):
    """The tree of all texts."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def start(self) -> GrammarState:
        """The state at the root."""
        return ChoiceState(self._root)


class ChoiceState(GrammarState):
    """The path from the root to the current node of an output."""

    def __init__(self, root: Node) -> None:
        self._path = [root]

    @property
    def is_finished(self) -> bool:
        """True at a leaf of the tree."""
        return not self._path[-1].children

    def accept(self, token_id: int) -> bool:
        """Go to the next node of the token."""
        child = self._path[-1].children.get(token_id)
        if child is None:
            return False
        self._path.append(child)
        return True

    def rollback(self, num_tokens: int) -> None:
        """Go back along the path."""
        if num_tokens:
            del self._path[-num_tokens:]

    def forced(self) -> list[int]:
        """The tokens up to the next branch or end."""
        tokens: list[int] = []
        node = self._path[-1]
        while len(node.children) == 1:
            ((token_id, node),) = node.children.items()
            tokens.append(token_id)
        return tokens

    def fill(self, mask: memoryview) -> None:
        """Allow the tokens that lead to a next node."""
        for token_id in self._path[-1].children:
            mask[token_id // 8] |= 1 << token_id % 8


def _tokens_of(text: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a text in the middle of another text. Raises RequestError if there are none.

    Many tokenizers encode the first word of a text differently, so the text is encoded behind another one.
    """
    for before in _BEFORE:
        first = tokenizer.encode(before, add_special_tokens=False) if before else []
        whole = tokenizer.encode(before + text, add_special_tokens=False)
        found = whole[len(first) :]
        if whole[: len(first)] == first and found and _reads(first, whole, before, text, tokenizer):
            return found
    raise RequestError(
        f"structured.choice: this model's tokenizer cannot write {text!r:.200} as it stands; choose another text"
    )


def _reads(
    first: Sequence[int], whole: Sequence[int], before: str, text: str, tokenizer: Tokenizer
) -> bool:
    """True if the tokens behind `first` decode to `text`."""
    read = tokenizer.decode(whole, skip_special_tokens=False)
    return (
        read == tokenizer.decode(first, skip_special_tokens=False) + text
        if before
        else read == text
    )
