"""The speculator `forced`: no guesses of its own, so that only what a grammar leaves no choice of is drafted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jackfield.config import EngineConfig
from jackfield.interfaces.speculator import Drafter, Speculator


class ForcedSpeculator(Speculator):
    """Jump-forward decoding: where a schema or choice says what follows, several tokens are confirmed in one step.

    Drafts of grammars come before those of any speculator; with this one no other rows have drafts.
    Source: Zheng et al. 2024, "SGLang: Efficient Execution of Structured Language Model Programs", section 4.
    """

    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        """Drafters without guesses."""
        return NoGuess


class NoGuess(Drafter):
    """Leaves it to the grammar."""

    __slots__ = ()

    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        """None."""
        return ()
