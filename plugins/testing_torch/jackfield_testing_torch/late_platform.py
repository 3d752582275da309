"""A platform for tests: the processor behaves like a device that works asynchronously and is late."""

from __future__ import annotations

from jackfield.interfaces.card import Facts
from jackfield.interfaces.worker import WorkerContext
from jackfield_torch.device import Device
from jackfield_torch.platform import TorchPlatform


class LatePlatform(TorchPlatform):
    """The processor as an asynchronous device."""

    device = "cpu"
    dtypes = ("float32",)

    def probe(self) -> Facts:
        """No facts: it always works."""
        return {"device": self.device}

    def create_device(self, context: WorkerContext) -> Device:
        """Make a device for each worker."""
        from jackfield_testing_torch.late_device import LateDevice

        return LateDevice()
