"""Where the value of a setting came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class SourceKind(IntEnum):
    """The kinds of sources that may set a value. A higher kind wins."""

    DEFAULT = 0
    PLATFORM = 1  # settings that suit the device better than the default
    FILE = 2
    ENVIRONMENT = 3
    CLI = 4
    CODE = 5
    DERIVED = 6  # "auto" and "none", resolved when the model and the platform are known


@dataclass(frozen=True, slots=True)
class Source:
    """The kind of source that won, and the place: a file and line, a variable, an option."""

    kind: SourceKind
    where: str

    def __str__(self) -> str:
        return self.where


DEFAULT = Source(SourceKind.DEFAULT, "default")
