"""What the torch runtime asks of a device. Imports no torch, so that the cards of platforms can name it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from jackfield.config import CacheSettings

if TYPE_CHECKING:  # cards are read where torch is not installed
    from torch import Tensor

    from jackfield_torch.interfaces.kernels import Kernels

T = TypeVar("T")


class Event(Protocol):
    """A point in the work of a device."""

    def wait(self) -> None:
        """Return once all work that was given to the device before this point is done. Any thread may call it."""


class Device(ABC):
    """One device of one worker. Made in the worker's process and used by its one thread, events aside.

    What is left out here is a device that has done its work when a call returns, such as a processor. An asynchronous
    device takes work in one order (a CUDA stream) and overrides `host_memory`, `copy` and `record`.
    """

    name: str  # as torch names it: "cpu", "cuda:0"
    collectives: str = "gloo"  # the torch.distributed backend that joins ranks on such devices
    # Numbers of rows, rising, that steps in which every row computes one token are padded to; () pads nothing. A
    # step of more rows than the last one is not padded. Only padded steps are captured.
    row_sizes: tuple[int, ...] = ()
    # Numbers of tokens, rising, that other steps are padded to, and captured when a shape comes again; () pads none.
    token_sizes: tuple[int, ...] = ()

    def start(self) -> None:
        """Prepare the device: threads, streams, precision. Called once, by the worker's thread, before all else."""

    def kernels(self) -> Kernels:
        """The fused operations of this device. Called once, after `start`."""
        from jackfield_torch.interfaces.kernels import Kernels

        return Kernels()

    @abstractmethod
    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """Memory that the cache may take, asked after the weights were loaded and the rows were made.

        `useful_bytes` hold all rows at their full length; more would lie idle. `settings.memory_bytes` wins.
        """

    def host_memory(self, num_bytes: int) -> Tensor:
        """uint8 memory of the host that `copy` is quick with: pinned, where the device knows that."""
        import torch

        return torch.empty(num_bytes, dtype=torch.uint8)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy between `host_memory` and the device, in the order of its other work, without waiting for it."""
        target.copy_(source)

    def record(self) -> Event | None:
        """The present point in the device's work; None if all work is done already."""
        return None

    def compile_ahead(self, run: Callable[[], object]) -> None:
        """Compile what `run` would launch, several kernels at once; nothing that it computes counts.

        Called once, before steps are captured. The default leaves each kernel to its first launch.
        """

    def capture(self, function: Callable[[], T]) -> Callable[[], T] | None:
        """Record the work of `function` as a graph; what is given back runs it again and returns the same tensors.

        `function` takes its inputs from tensors that keep their addresses, and waits for nothing. It may be called
        several times before it is recorded. What it returned is overwritten by the next replay of any graph. None: the
        device captures nothing, and the runtime calls `function` in every step.
        """
        return None

    def details(self) -> dict[str, str]:
        """What `explain` and logs should say of it."""
        return {}

    def started(self) -> str:
        """What logs should say once all steps were captured, such as the memory that they took; empty: nothing."""
        return ""

    def close(self) -> None:
        """Give back what `start` took."""
