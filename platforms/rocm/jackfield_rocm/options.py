"""The settings of the ROCm platform: `[options.rocm]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RocmOptions:
    """How the card is used."""

    graphs: bool = True  # replay recorded steps; False: launch each kernel, as for a debugger
    most_graph_rows: int = 256  # rows of the largest recorded step

    def __post_init__(self) -> None:
        if self.most_graph_rows < 1:
            raise ConfigError(
                f"options.rocm.most_graph_rows must be at least 1, got {self.most_graph_rows}; to do without graphs "
                "set options.rocm.graphs = false"
            )
