"""The settings of the CUDA platform: `[options.cuda]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaOptions:
    """Settings of the card."""

    graphs: bool = True  # replay recorded steps; False: launch each kernel, as a debugger needs
    most_graph_rows: int = 512  # rows of the largest recorded step
    # Tokens of the largest step with prompts that is recorded when its shape comes again; 0: none. Large models
    # record less.
    most_graph_tokens: int = 4096
    # Threads that compile the kernels of all recorded sizes before the first is recorded; 0: one kernel after another.
    compile_threads: int = 8

    def __post_init__(self) -> None:
        if self.most_graph_rows < 1:
            raise ConfigError(
                f"options.cuda.most_graph_rows must be at least 1, got {self.most_graph_rows}; to do without graphs "
                "set options.cuda.graphs = false"
            )
        if self.most_graph_tokens < 0:
            raise ConfigError(
                f"options.cuda.most_graph_tokens must be at least 0, got {self.most_graph_tokens}"
            )
        if self.compile_threads < 0:
            raise ConfigError(
                f"options.cuda.compile_threads must be at least 0, got {self.compile_threads}"
            )
