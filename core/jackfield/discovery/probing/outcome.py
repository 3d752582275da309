"""What a trial of one plugin came to, as data that crosses a pipe and lies in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.errors import JackfieldError

FINE = "fine"
RAISED = "raised"  # an ordinary exception: the process that asks can see it for itself
LOST = "lost"  # the process of the trial was killed, or ended itself
HUNG = "hung"
INTRUSIVE = "intrusive"  # changed the core, or took a device


class HarmfulPlugin(JackfieldError):
    """What a plugin did to the process that tried it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of importing a plugin's card, or of its probe."""

    code: str
    text: str = ""  # what it did, as the end of a sentence that begins with "it"
    facts: Mapping[str, Any] | None = None  # what a probe found

    def check(self) -> None:
        """Raise HarmfulPlugin where the plugin must not come into a process that is needed."""
        if self.code in (LOST, HUNG, INTRUSIVE):
            raise HarmfulPlugin(f"in a process of its own {self.text}")
