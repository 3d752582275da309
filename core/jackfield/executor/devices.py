"""Which accelerators this process holds."""

from __future__ import annotations

import sys
from pathlib import Path

_DEVICE_NODES = ("/dev/nvidia", "/dev/kfd", "/dev/accel", "/dev/neuron", "/dev/dri/", "/dev/xpu")


def taken_devices() -> list[str]:
    """Device files that this process has opened, and devices that torch reports if it was imported."""
    found = set()
    for link in Path("/proc/self/fd").glob("*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue  # closed in the meantime
        if target.startswith(_DEVICE_NODES):
            found.add(target)
    torch = sys.modules.get("torch")
    for device in ("cuda", "xpu"):
        is_initialised = getattr(getattr(torch, device, None), "is_initialized", None)
        if is_initialised is not None and is_initialised():
            found.add(f"torch.{device}")
    return sorted(found)
