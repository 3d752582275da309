"""Asks NVIDIA's driver about the first card that this process would use, without torch and without a context."""

from __future__ import annotations

import ctypes

_DRIVER = "libcuda.so.1"
_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR


def chip_capability() -> int:
    """The major compute capability of the first visible card; 0 if there is none."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    device, major = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return 0
    return 0 if driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device) else major.value
