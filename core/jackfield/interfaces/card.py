"""What all plugin classes share: a light card that states facts, a probe, and a pure check."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from jackfield.decision import Reason

Facts = Mapping[str, str | int | float | bool | None]
"""What a probe found on a machine: serialisable, so that a file of them stands in for hardware."""


class Card(ABC):
    """The target of an entry point. Its module imports nothing heavy; only `probe` and `create*` may.

    Cards are made without arguments and hold no state. A selection runs in three stages: the features in use must
    be declared here, else the candidate is refused unasked; `probe` finds facts, which are kept until the machine or what
    is installed on it changes; `check` compares a need with the facts and can only refuse more.
    """

    # Names from `features_in_use(need)` that it serves. "*" means all: it ignores what they say.
    features: ClassVar[frozenset[str]] = frozenset()
    # A frozen dataclass of its settings, which are [options.NAME] in the config.
    options: ClassVar[type | None] = None
    # False says that what `probe` finds changes for other reasons than what is installed, drivers, devices and the
    # variables that choose devices (free memory, say). It runs in every process then, and must be light.
    facts_last: ClassVar[bool] = True
    only_named: ClassVar[bool] = False  # True: never chosen unless the user names it

    def probe(self) -> Facts:
        """Find out what is there; may import the real thing. Raises to say that it does not work here."""
        return {}

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        """Reasons why this plugin cannot serve `need`; empty if it can. Pure: no imports, no device."""
        return ()

    def note(self, need: Any, facts: Facts) -> str:
        """How it would serve a need that `check` allows, where that depends on both; for `explain`. Pure."""
        return ""


def has_probe(card: Card) -> bool:
    """True if a card has a probe of its own."""
    return type(card).probe is not Card.probe


def has_check(card: Card) -> bool:
    """True if a card has a check of its own."""
    return type(card).check is not Card.check
