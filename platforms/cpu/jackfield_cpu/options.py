"""The settings of the CPU platform: `[options.cpu]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuOptions:
    """How the processor is used."""

    # computing threads; None: OMP_NUM_THREADS, else one for each core that this process may use
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"options.cpu.threads must be at least 1 or none, got {self.threads}")
