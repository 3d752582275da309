"""What all plugin classes share: a light card that states facts, a probe, and a pure check."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jackfield.decision import Reason

Facts = Mapping[str, str | int | float | bool | None]
"""What a probe found on a machine: serialisable, so that a file of them stands in for hardware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a plugin's facts depend on beside what the core watches, as patterns like those of a shell."""

    variables: tuple[str, ...] = ()  # names of environment variables: "ACME_*"
    files: tuple[
        str, ...
    ] = ()  # of drivers, nodes of devices: "/dev/acme*", "/opt/acme/version.txt"

    def __post_init__(self) -> None:
        """Raise TypeError for a lone text, which would be taken for a sequence of letters."""
        for name in ("variables", "files"):
            patterns = getattr(self, name)
            if not isinstance(patterns, tuple) or not all(isinstance(p, str) for p in patterns):
                raise TypeError(f"Watch.{name} must be a tuple of texts, got {patterns!r}")


class Card(ABC):
    """The target of an entry point. Its module imports nothing heavy; only `probe` and `create*` may.

    Cards are made without arguments and hold no state. A selection runs in three stages: the features in use must
    be declared here, else the candidate is refused unasked; `probe` finds facts, once in a state of machine and environment; `check` compares a
    need with the facts and can only refuse more.
    """

    # names from `features_in_use(need)` that it serves; "*": all, of one that ignores what they say
    features: ClassVar[frozenset[str]] = frozenset()
    options: ClassVar[type | None] = (
        None  # frozen dataclass of its settings, [options.NAME] in the config
    )
    # False: what `probe` finds changes by itself (free memory), so it runs in every process and must be light
    facts_last: ClassVar[bool] = True
    # when what `probe` found no longer holds: a vendor's own variables, the files of its driver
    watches: ClassVar[Watch] = Watch()
    only_named: ClassVar[bool] = False  # True: never chosen unless the user names it

    def probe(self) -> Facts:
        """Find out what is there; may import the real thing. Raises to say that it does not work here."""
        return {}

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        """Reasons why this plugin cannot serve `need`; empty where it can. Pure: no imports, no device."""
        return ()
