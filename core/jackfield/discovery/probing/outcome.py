"""What a trial of one plugin came to, as data that crosses a pipe and lies in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jackfield.errors import JackfieldError
from jackfield.interfaces.card import Watch

FINE = "fine"
RAISED = "raised"  # an ordinary exception: the process that asks can see it for itself
LOST = "lost"  # the process of the trial was killed, or ended itself
HUNG = "hung"
INTRUSIVE = "intrusive"  # changed the core or its process, or took a device
HARMFUL = (LOST, HUNG, INTRUSIVE)


class HarmfulPlugin(JackfieldError):
    """What a plugin did to the process that tried it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of importing a plugin's card, or of its probe."""

    code: str
    text: str = ""  # what it did, as the end of a sentence that begins with "it"
    facts: Mapping[str, Any] | None = None  # what a probe found
    import_s: float = 0.0  # how long importing took
    watch: Watch = field(default_factory=Watch)  # what else its card says that it depends on

    @property
    def is_harmful(self) -> bool:
        """True where the plugin must not come into a process that is needed."""
        return self.code in HARMFUL

    def check(self) -> None:
        """Raise HarmfulPlugin where the plugin is harmful."""
        if self.is_harmful:
            raise HarmfulPlugin(f"in a process of its own {self.text}")


def read_outcome(document: Mapping[str, Any]) -> Outcome:
    """The outcome behind its `dataclasses.asdict`. Raises KeyError or TypeError for what is none."""
    watch = {name: tuple(patterns) for name, patterns in document["watch"].items()}
    return Outcome(**{**document, "watch": Watch(**watch)})
