"""What the torch runtime asks of a device. Torch-free, so that the cards of platforms can name it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jackfield.config import CacheSettings


class Device(ABC):
    """One device of one worker. Made in the worker's process and used by its one thread."""

    name: str  # as torch names it: "cpu", "cuda:0"
    collectives: str = "gloo"  # the torch.distributed backend that joins ranks on such devices

    def start(self) -> None:
        """Prepare the device: threads, streams, precision. Called once, by the worker's thread, before all else."""

    @abstractmethod
    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """Memory that the cache may take, asked after the weights were loaded.

        `useful_bytes` hold all rows at their full length; more would lie idle. `settings.memory_bytes` wins.
        """

    def details(self) -> dict[str, str]:
        """What `explain` and logs should say of it."""
        return {}

    def close(self) -> None:
        """Give back what `start` took."""
