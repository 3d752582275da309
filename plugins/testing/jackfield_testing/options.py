"""The settings of the reference platform: `[options.reference]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError

FAULTS = ("load", "raise", "raise_late", "hang", "die", "slow")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOptions:
    """What the reference device does beside its work, mainly how it fails."""

    cache_blocks: int = 4096  # of each group, if neither settings nor memory give a number
    idle_s: float = 0.002  # a held result arrives after this time even if no step follows
    step_s: float = 0.0  # least time of a step, so that answers last as long as their tokens say
    verify: bool = False  # compare every read value with the right one; slower, but names the place
    # A prompt that begins with this token is answered with its rest.
    echo_token_id: int | None = None
    fault: str | None = None  # load, raise, raise_late, hang, die (ends the process), slow
    fault_step: int = 1  # the fault happens in this step, counted from 1
    # Instead of in a step of this number, the fault happens in the first step after this file was made, and removes it.
    fault_file: str | None = None
    fault_rank: int = 0
    fault_s: float = 0.1  # duration of a slow step
    error_token_id: int | None = None  # a row that computes this token fails alone
    error_position: int | None = None  # a row that computes this position fails alone

    def __post_init__(self) -> None:
        if self.fault is not None and self.fault not in FAULTS:
            raise ConfigError(
                f"options.reference.fault must be one of {', '.join(FAULTS)}, got {self.fault!r}"
            )
