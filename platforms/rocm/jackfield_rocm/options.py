"""The settings of the ROCm platform: `[options.rocm]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RocmOptions:
    """How the card is used."""

    # True: replay recorded steps; false: launch each kernel, as a debugger needs.
    graphs: bool = True
    most_graph_rows: int = 256  # rows of the largest recorded step
    # threads that compile the kernels of all recorded sizes before the first is recorded; 0: one after another
    compile_threads: int = 8

    def __post_init__(self) -> None:
        if self.most_graph_rows < 1:
            raise ConfigError(
                f"options.rocm.most_graph_rows must be at least 1, got {self.most_graph_rows}; to do without graphs "
                "set options.rocm.graphs = false"
            )
        if self.compile_threads < 0:
            raise ConfigError(
                f"options.rocm.compile_threads must be at least 0, got {self.compile_threads}"
            )
