"""The speculator `forced`: it makes no guesses, so only tokens that a grammar prescribes are drafted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jackfield.config import EngineConfig
from jackfield.interfaces.speculator import Drafter, Speculator


class ForcedSpeculator(Speculator):
    """Jump-forward decoding: if a schema or choice prescribes what follows, one step confirms several tokens.

    Drafts of grammars come before those of any speculator. With this speculator no other rows have drafts.
    Source: Zheng et al. 2024, "SGLang: Efficient Execution of Structured Language Model Programs", section 4.
    """

    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        """Drafters without guesses."""
        return NoGuess


class NoGuess(Drafter):
    """Makes no guesses: drafts come from the grammar alone."""

    __slots__ = ()

    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        """Empty."""
        return ()
