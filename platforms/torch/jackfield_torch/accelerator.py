"""One card that torch calls "cuda", of NVIDIA or AMD: pinned staging, events, recorded steps and the plan of its memory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from jackfield.config import CacheSettings
from jackfield_torch.accelerator_memory import MemoryPlan
from jackfield_torch.device import Device, Event
from jackfield_torch.interfaces.kernels import Kernels

T = TypeVar("T")
# Calls before a step is recorded: kernels compile, and libraries make their workspaces.
_WARM_UPS = 2
# Python's collector is one for all engines of a process, so one of them records at a time.
_RECORDING = threading.Lock()
_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)
_LEAST_TOKENS = 32  # tokens of the smallest step with prompts, and between two sizes of such steps
_STEP_BEYOND = 32  # rows between sizes above the last of `_SIZES`


class Accelerator(Device):
    """A card, its default stream, and the steps that were recorded on it."""

    collectives = "nccl"

    def __init__(
        self,
        row_sizes: tuple[int, ...],
        plan: MemoryPlan,
        *,
        index: int,
        token_sizes: tuple[int, ...] = (),
        compile_threads: int = 0,
    ) -> None:
        """Steps of each number of rows in `row_sizes` are recorded, and steps with prompts of each number in `token_sizes`.

        `compile_threads` threads compile kernels before the first step is recorded; 0: each kernel compiles at its
        first launch.
        """
        self.name = f"cuda:{index}"
        self._plan = plan
        self._index = index
        self.row_sizes, self.token_sizes = row_sizes, token_sizes
        self._pool: Any = None
        # Every step is recorded on this stream, since libraries have a workspace for each.
        self._stream: Any = None
        self._free_at_start = 0
        self._num_graphs = 0
        self._compile_threads = compile_threads
        self._free_before_graphs = 0

    def start(self) -> None:
        """Choose the card, and note how much of its memory other programs have taken."""
        torch.cuda.set_device(self._index)
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        self._free_at_start, _ = torch.cuda.mem_get_info(self._index)

    def kernels(self) -> Kernels:
        """The kernels in Triton."""
        from jackfield_torch.kernels.fused import TritonKernels

        return TritonKernels()

    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """The settings' fraction of the memory that weights, the largest step and recorded steps leave free."""
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._index)
        return self._plan.cache_bytes(settings, free, useful_bytes)

    def host_memory(self, num_bytes: int) -> Tensor:
        """Pinned memory, so that copies run beside all other work."""
        return torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy in the order of the stream."""
        target.copy_(source, non_blocking=True)

    def record(self) -> Event:
        """An event of the stream."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return _CudaEvent(event)

    def compile_ahead(self, run: Callable[[], object]) -> None:
        """Compile on several threads if an option asks for it."""
        self._free_before_graphs, _ = torch.cuda.mem_get_info(self._index)
        if self._compile_threads:
            from jackfield_torch.kernels.ahead import compile_ahead

            compile_ahead(run, self._compile_threads)
            torch.cuda.synchronize()

    def capture(self, function: Callable[[], T]) -> Callable[[], T]:
        """Record a CUDA graph. All graphs share one pool of memory, since one runs at a time."""
        stream = self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # thread_local: another thread that closes an engine meanwhile must not spoil the recording.
        recording = torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        )
        with _RECORDING, _no_collection(), recording:
            result = function()
        self._num_graphs += 1

        def replay() -> T:
            graph.replay()
            return result

        return replay

    def details(self) -> dict[str, str]:
        """The card, and the plan of its memory."""
        return {
            "device": torch.cuda.get_device_name(self._index),
            "graphs": self._words(),
            **self._plan.details(),
        }

    def _words(self) -> str:
        if not self.row_sizes:
            return "off"
        prompts = f", with prompts up to {self.token_sizes[-1]} tokens" if self.token_sizes else ""
        return f"{len(self.row_sizes)} sizes up to {self.row_sizes[-1]} rows{prompts}"

    def started(self) -> str:
        """How much memory recorded steps took beside the plan, and how much is left."""
        free, total = torch.cuda.mem_get_info(self._index)
        return self._plan.compared(max(0, self._free_before_graphs - free), free, total)

    def close(self) -> None:
        """Give memory back to the driver."""
        self._pool = self._stream = None
        torch.cuda.empty_cache()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps Python from collecting what a closed engine left behind: freeing memory of a card spoils a recording."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _CudaEvent:
    def __init__(self, event: torch.cuda.Event) -> None:
        self._event = event

    def wait(self) -> None:
        self._event.synchronize()


def ladder(most_rows: int) -> tuple[int, ...]:
    """Numbers of rows that steps are padded to, up to `most_rows`. They are close together where one more row costs
    time.
    """
    beyond = range(_SIZES[-1] + _STEP_BEYOND, most_rows + _STEP_BEYOND, _STEP_BEYOND)
    sizes = [size for size in (*_SIZES, *beyond) if size < most_rows]
    return (*sizes, most_rows)


def token_ladder(most_tokens: int) -> tuple[int, ...]:
    """Numbers of tokens that steps with prompts are padded to. Above 256, padding adds an eighth at most."""
    sizes: list[int] = []
    size, step = 0, _LEAST_TOKENS
    while size + step <= most_tokens:
        size += step
        sizes.append(size)
        if size >= 8 * step:
            step *= 2
    return tuple(sizes)
