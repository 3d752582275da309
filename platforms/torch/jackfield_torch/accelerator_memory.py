"""A plan of the card's memory, made before the weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.config import CacheSettings, EngineConfig
from jackfield.errors import OutOfMemoryError
from jackfield.model_spec import ModelSpec

_LIBRARIES = 512 << 20  # bytes of cuBLAS' workspaces and the modules of kernels
_A_GRAPH = 8 << 20  # bytes of the kernels and nodes of one recorded step
_MIB = 1 << 20


@dataclass(slots=True, kw_only=True)
class MemoryPlan:
    """Predictions in bytes, of one card."""

    step_bytes: int  # activations and logits of the largest step
    graph_bytes: int  # all recorded steps together
    free_bytes: int = 0  # after the weights were loaded
    cache: int = 0  # given to the cache

    def cache_bytes(self, settings: CacheSettings, free_bytes: int, useful_bytes: int) -> int:
        """The bytes that the cache may take. Raises OutOfMemoryError if steps leave nothing."""
        self.free_bytes = free_bytes
        left = free_bytes - self.step_bytes - self.graph_bytes - _LIBRARIES
        if settings.memory_bytes is not None:
            self.cache = settings.memory_bytes
            return self.cache
        if left <= 0:
            raise OutOfMemoryError(
                f"{free_bytes / _MIB:.0f} MiB of the card are free after the weights were loaded, and its largest step takes "
                f"{(self.step_bytes + self.graph_bytes + _LIBRARIES) / _MIB:.0f} MiB. Lower scheduler.max_step_tokens and "
                "scheduler.max_rows, quantize the weights, or free memory of the card"
            )
        self.cache = min(int(left * settings.memory_fraction), useful_bytes)
        return self.cache

    def compared(self, graph_bytes: int, free_bytes: int, total_bytes: int) -> str:
        """The predicted and the real memory, once all steps were recorded."""
        return (
            f"memory: recorded steps took {graph_bytes / _MIB:.0f} MiB of {self.graph_bytes / _MIB:.0f} MiB planned; "
            f"{free_bytes / _MIB:.0f} MiB of {total_bytes / _MIB:.0f} MiB of the card are free, "
            f"{(self.step_bytes + _LIBRARIES) / _MIB:.0f} MiB of them for steps and libraries"
        )

    def details(self) -> dict[str, str]:
        """The plan in words, for `explain` and logs."""
        return {
            "memory": f"step {self.step_bytes / _MIB:.0f} MiB, graphs {self.graph_bytes / _MIB:.0f} MiB, "
            f"libraries {_LIBRARIES / _MIB:.0f} MiB, cache {self.cache / _MIB:.0f} MiB of {self.free_bytes / _MIB:.0f} MiB "
            "that were free after loading"
        }


def plan_memory(
    spec: ModelSpec,
    config: EngineConfig,
    itemsize: int,
    row_sizes: Sequence[int],
    token_sizes: Sequence[int] = (),
) -> MemoryPlan:
    """Plan from the shapes of the model: the most that the widest layer holds at once, and the logits in float32 with
    one copy.

    Each recorded size keeps logits of its own. Of the steps with prompts that are recorded later, the largest counts.
    """
    tokens, rows = config.scheduler.max_step_tokens, config.scheduler.max_rows
    size = spec.hidden_size
    widths = [
        max(layer.mixer.width(size), layer.feed_forward.width(size) if layer.feed_forward else 0)
        for layer in spec.layers
    ]
    width = 4 * spec.hidden_size + max(widths)
    logits = rows * spec.vocab_size * (itemsize + 3 * 4)
    recorded = sum(row_sizes) * spec.vocab_size + max(token_sizes, default=0) * width
    return MemoryPlan(
        step_bytes=tokens * width * itemsize + logits,
        graph_bytes=(len(row_sizes) + len(token_sizes)) * _A_GRAPH + recorded * itemsize,
    )
