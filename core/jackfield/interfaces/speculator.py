"""Speculators: they guess the tokens that come next; a worker confirms the guesses or rejects them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculatorNeed:
    """What an engine asks of a speculator."""

    FEATURE: ClassVar[str] = "speculator"

    num_tokens: int  # speculation.num_tokens: guesses for each row and step


class Drafter(ABC):
    """Guesses the tokens of one request. Runs on the thread that steps, so it must be quick: microseconds."""

    @abstractmethod
    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        """At most `num_tokens` guesses; empty means no guess.

        `token_ids` are the prompt and all known tokens. They only grow from call to call, and must not be changed or
        kept. Steps in flight are computing `num_unknown` tokens behind them: at least 0, and more than 1 if such a
        step has a draft. The guesses are for the tokens behind those. A wrong guess costs time and never changes an
        answer.
        """


class Speculator(Card):
    """The card of a speculator, chosen if speculation.num_tokens is above 0. `check(SpeculatorNeed, facts)`."""

    @abstractmethod
    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        """A function that makes the drafter of each request. Called once an engine. Reads its options from `config`."""
