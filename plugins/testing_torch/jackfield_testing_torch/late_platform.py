"""A platform for tests: the processor in the guise of a device that works by itself and is late."""

from __future__ import annotations

from jackfield.interfaces.card import Facts
from jackfield.interfaces.worker import WorkerContext
from jackfield_torch.device import Device
from jackfield_torch.platform import TorchPlatform


class LatePlatform(TorchPlatform):
    """The processor in the guise of an asynchronous device."""

    device = "cpu"
    dtypes = ("float32",)

    def probe(self) -> Facts:
        """Always there."""
        return {"device": self.device}

    def create_device(self, context: WorkerContext) -> Device:
        """One of its own for each worker."""
        from jackfield_testing_torch.late_device import LateDevice

        return LateDevice()
