"""Where the value of a setting came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Layer(IntEnum):
    """Who may set a value; a higher layer wins."""

    DEFAULT = 0
    PLATFORM = 1  # what suits the device better than the default
    FILE = 2
    ENVIRONMENT = 3
    CLI = 4
    CODE = 5
    DERIVED = 6  # "auto" and "none", resolved once the model and the platform are known


@dataclass(frozen=True, slots=True)
class Source:
    """The layer that won, and the place in it: a file and line, a variable, an option."""

    layer: Layer  # which of the places that may set something
    where: str  # file and line, variable, or option

    def __str__(self) -> str:
        return self.where


DEFAULT = Source(Layer.DEFAULT, "default")
