"""A grammar of one request, and the state of one output in it. Plugins for structured output make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class GrammarState(ABC):
    """The state of one output in its grammar. Used by the thread that steps, so it must be quick."""

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """True if no token may follow; then the output ends."""

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        """Move on by one token. If the grammar does not allow the token here, return False and change nothing."""

    @abstractmethod
    def rollback(self, num_tokens: int) -> None:
        """Take back the last `num_tokens` accepted tokens."""

    @abstractmethod
    def fill(self, mask: memoryview) -> None:
        """Set the bits of all tokens that may come next. `mask` is one mask of `TokenMasks`, with all bits unset.

        Never called while `is_finished`. An end token is allowed if the answer may end here.
        Never called while `is_finished`. An end token is allowed where the answer may end.
        """

    def forced(self) -> Sequence[int]:
        """Tokens that most likely follow, because the grammar prescribes the text; empty if it does not.

        They are guesses: a model may write the same text with other tokens. Must be quick, and must change nothing.
        """
        return ()


class Grammar(ABC):
    """What a user asked for, compiled. Requests and threads share it, and it is never changed."""

    @abstractmethod
    def start(self) -> GrammarState:
        """The state of an output that has no token yet."""
