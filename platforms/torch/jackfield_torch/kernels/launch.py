"""Launches of kernels, with dependent launch on chips that overlap a kernel's start with the end of the one before."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl

try:
    from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait
# A Triton that was built only for AMD. No launch is dependent there.
except ImportError:

    def gdc_launch_dependents():
        """Nothing."""

    def gdc_wait():
        """Nothing."""


_HOPPER = (9, 0)  # the first NVIDIA chip with programmatic dependent launch


@triton.jit
def begin(DEPENDENT: tl.constexpr):
    """Let the next kernel start its own beginning: it waits for our end before it reads what we write."""
    if DEPENDENT:
        gdc_launch_dependents()


@triton.jit
def wait_for_inputs(DEPENDENT: tl.constexpr):
    """Wait until the kernels before this one have ended. Only constants may be read earlier."""
    if DEPENDENT:
        gdc_wait()


@triton.jit
def in_cache(x, dtype: tl.constexpr):
    """x in the dtype of a cache. What float8 does not reach becomes its end, as where torch writes the cache."""
    if dtype == tl.float8e4nv:
        x = tl.clamp(x.to(tl.float32), -448.0, 448.0)
    elif dtype == tl.float8e5:
        x = tl.clamp(x.to(tl.float32), -57344.0, 57344.0)
    return x.to(dtype)


@cache
def launch_options(device: torch.device) -> dict[str, Any]:
    """Keyword arguments for every launch on that device.

    A kernel that is launched with them must call `wait_for_inputs` before it reads or writes activations.
    """
    if device.type != "cuda" or torch.version.hip is not None:
        return {"DEPENDENT": False}
    if torch.cuda.get_device_capability(device) < _HOPPER:
        return {"DEPENDENT": False}
    return {"DEPENDENT": True, "launch_pdl": True}


def next_power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << max(0, number - 1).bit_length()
