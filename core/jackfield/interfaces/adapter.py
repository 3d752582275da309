"""Adapters: how plugins of an old contract major go on being served when the engine speaks a newer one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.card import Card, Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Serves one old major of a kind. Belongs to the package that serves the kind, not to the plugin."""

    adapt: Callable[[Any], Any]  # a card (or function) of the old major -> one of the newest
    base: (
        type | None
    )  # that the class behind an entry point of the old major extends; None: a function
    deprecated_since: str  # release that brought the successor: "jackfield 0.3"
    removed_in: str  # first release without the adapter

    def notice(self, major: int) -> str:
        """What is told to the users of plugins of that major."""
        return (
            f"v{major}, served by an adapter, deprecated since {self.deprecated_since}, "
            f"removed in {self.removed_in}"
        )


class AdaptedCard(Card):
    """Base for the cards that `Adapter.adapt` returns, beside the class of the new contract.

    Passes on what every card has. It declares the features of the old card and no other, so a plugin is never asked
    for what came with the new major.
    """

    def __init__(self, old: Card) -> None:
        self.old = old
        shared = ("features", "options", "facts_last", "watches", "only_named")
        vars(self).update({name: getattr(old, name) for name in shared})

    def probe(self) -> Facts:
        """Ask the old card."""
        return self.old.probe()

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        """Ask the old card. Override where the needs of the majors differ."""
        return self.old.check(need, facts)


def has_probe(card: Card) -> bool:
    """True where a card has a probe of its own, behind an adapter too."""
    return type(_own(card)).probe is not Card.probe


def has_check(card: Card) -> bool:
    """True where a card has a check of its own, behind an adapter too."""
    return type(_own(card)).check is not Card.check


def _own(card: Card) -> Card:
    return card.old if isinstance(card, AdaptedCard) else card
