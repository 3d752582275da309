"""What all plugin classes share: a light card that states facts, a probe, and a pure check."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from jackfield.decision import Reason

Facts = Mapping[str, str | int | float | bool | None]
"""What a probe found on a machine. Facts are serialisable, so that a file of facts stands in for hardware."""


class Card(ABC):
    """The target of an entry point. Its module imports nothing heavy; only `probe` and `create*` may.

    Cards are made without arguments and hold no state. A selection runs in three stages. First, the features in use
    must be declared on the card; otherwise the candidate is refused and its code is not asked. Then `probe` finds
    facts, which are kept until the machine or the installed distributions change. Last, `check` compares a need with
    the facts; `check` can only refuse more.
    """

    # The names from `features_in_use(need)` that this plugin serves. "*" means all: the plugin ignores the names.
    features: ClassVar[frozenset[str]] = frozenset()
    # A frozen dataclass of the plugin's settings, which stand in [options.NAME] of the config.
    options: ClassVar[type | None] = None
    # False says that the facts of `probe` depend on more than what is installed, drivers, devices and the variables
    # that choose devices, for example on free memory. Then `probe` runs in every process and must be light.
    facts_last: ClassVar[bool] = True
    only_named: ClassVar[bool] = False  # True: chosen only if the user names it

    def probe(self) -> Facts:
        """Find out what is there; may import the real thing. Raises an error if the plugin does not work here."""
        return {}

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        """Reasons why this plugin cannot serve `need`; empty if it can. Pure: no imports, no device."""
        return ()

    def note(self, need: Any, facts: Facts) -> str:
        """How the plugin would serve a need that `check` allows, if that depends on need and facts; for `explain`.
        Pure.
        """
        return ""


def has_probe(card: Card) -> bool:
    """True if a card has a probe of its own."""
    return type(card).probe is not Card.probe


def has_check(card: Card) -> bool:
    """True if a card has a check of its own."""
    return type(card).check is not Card.check
