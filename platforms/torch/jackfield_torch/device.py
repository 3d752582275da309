"""The interface of a device in the torch runtime. Imports no torch, so that the cards of platforms can name it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from jackfield.config import CacheSettings

if TYPE_CHECKING:  # cards are read even if torch is not installed
    from torch import Tensor

    from jackfield_torch.interfaces.kernels import Kernels

T = TypeVar("T")


class Event(Protocol):
    """A point in the order of a device's work."""

    def wait(self) -> None:
        """Return once all work that was given to the device before this point is done. Any thread may call it."""


class Device(ABC):
    """One device of one worker. It is made in the worker's process and used by the worker's one thread, except for events.

    The defaults describe a device that has done its work when a call returns, such as a processor. An asynchronous
    device takes work in one order (a CUDA stream) and overrides `host_memory`, `copy` and `record`.
    """

    name: str  # as torch names it: "cpu", "cuda:0"
    collectives: str = "gloo"  # the torch.distributed backend that joins ranks on such devices
    # Numbers of rows, rising. Steps in which every row computes one token are padded to the next of them; () pads
    # nothing. A step of more rows than the last number is not padded. Only padded steps are captured.
    row_sizes: tuple[int, ...] = ()
    # Numbers of tokens, rising. Other steps are padded to them, and captured if a shape comes again; () pads nothing.
    token_sizes: tuple[int, ...] = ()

    def start(self) -> None:
        """Prepare the device: threads, streams, precision. Called once, by the worker's thread, before all else."""

    def kernels(self) -> Kernels:
        """The fused operations of this device. Called once, after `start`."""
        from jackfield_torch.interfaces.kernels import Kernels

        return Kernels()

    @abstractmethod
    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """Bytes that the cache may take. Called after the weights were loaded and the rows were made.

        `useful_bytes` hold all rows at their full length; more would lie idle. `settings.memory_bytes` takes
        precedence.
        """

    def host_memory(self, num_bytes: int) -> Tensor:
        """uint8 memory of the host from which `copy` is fast: pinned memory if the device has it."""
        import torch

        return torch.empty(num_bytes, dtype=torch.uint8)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy between `host_memory` and the device in the order of the device's other work, without waiting for the
        copy.
        """
        target.copy_(source)

    def record(self) -> Event | None:
        """The present point in the device's work; None if all work is done already."""
        return None

    def compile_ahead(self, run: Callable[[], object]) -> None:
        """Compile the kernels that `run` would launch, several at once. The results of `run` are discarded.

        Called once, before steps are captured. The default leaves each kernel to its first launch.
        """

    def capture(self, function: Callable[[], T]) -> Callable[[], T] | None:
        """Record the work of `function` as a graph. The returned function runs the graph and returns the same tensors.

        `function` takes its inputs from tensors that keep their addresses, and waits for nothing. It may be called
        several times before it is recorded. The next replay of any graph overwrites the tensors that it returned.
        None: the device captures nothing, and the runtime calls `function` in every step.
        """
        return None

    def details(self) -> dict[str, str]:
        """Facts about the device for `explain` and logs."""
        return {}

    def started(self) -> str:
        """A line for logs once all steps were captured, such as the memory that they took; empty: no line."""
        return ""

    def close(self) -> None:
        """Release all that `start` took."""
