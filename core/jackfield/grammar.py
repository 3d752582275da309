"""A grammar of one request, and where one output stands in it; plugins for structured output make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class GrammarState(ABC):
    """Where one output stands in its grammar. Used by the thread that steps, so it must be quick."""

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """True if nothing may follow: the output ends."""

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        """Move on by one token; False, with nothing changed, if the grammar does not allow it here."""

    @abstractmethod
    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens that were accepted."""

    @abstractmethod
    def fill(self, mask: memoryview) -> None:
        """Set the bits of all tokens that may come next; `mask` is one mask of `TokenMasks`, all bits unset.

        Never called while `is_finished`. An end token is allowed where the answer may end.
        """

    def forced(self) -> Sequence[int]:
        """Tokens that most likely follow since the text that must follow is written so; none where that is open.

        They are guesses: a model may write the same text in other tokens. Must be quick, and change nothing.
        """
        return ()


class Grammar(ABC):
    """What a user asked for, compiled. Shared by requests and threads, and never changed."""

    @abstractmethod
    def start(self) -> GrammarState:
        """The state of an output that has no token yet."""
