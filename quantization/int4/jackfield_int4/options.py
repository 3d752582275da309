"""The settings of the scheme: `[options.int4]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Int4Options:
    """How plain weights are rounded."""

    group_size: int = 32  # inputs that share a scale
    symmetric: bool = False  # true: no offsets, so less is read, but the error is larger

    def __post_init__(self) -> None:
        if self.group_size < 1:
            raise ConfigError(
                f"options.int4.group_size must be at least 1, got {self.group_size}; common are 32, 64 and 128"
            )
