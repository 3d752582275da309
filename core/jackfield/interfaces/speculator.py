"""Speculators: guesses of the tokens that come next, which a worker confirms or not."""

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

    num_tokens: int  # speculation.num_tokens: guesses a row and step


class Drafter(ABC):
    """Guesses the tokens of one request. Used by the thread that steps, so it must be quick: microseconds."""

    @abstractmethod
    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        """At most `num_tokens` guesses of what follows `num_unknown` tokens that follow `token_ids`; empty: no guess.

        `token_ids` are the prompt and all tokens that are known; from call to call they only grow, and must not be
        changed or kept. `num_unknown` tokens behind them are being computed by steps in flight: at least 0, and more
        than 1 where such a step has a draft itself. A wrong guess costs time and never changes an answer.
        """


class Speculator(Card):
    """The card of a speculator, chosen if speculation.num_tokens is above 0. `check(SpeculatorNeed, facts)`."""

    @abstractmethod
    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        """What makes the drafter of each request; called once an engine. Reads its options from `config`."""
