"""What a chip can do, where the kernels of all chips are the same but their tiles and formats are not. Needs no Triton."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch

# Releases of Triton whose Gluon the kernels for Hopper were run with. It is experimental: 3.7 and 3.9 renamed what they use.
_GLUON = ("3.6.",)
_HOPPER = (9, 0)
_LARGE = 200_000  # bytes: Hopper has 227 KiB, chips for desktops have 99 KiB, also those with later instructions


@cache
def has_large_memory(device: torch.device) -> bool:
    """True if a block of threads may use as much shared memory as on Hopper."""
    return (shared_memory(device) or 0) >= _LARGE


@cache
def shared_memory(device: torch.device) -> int | None:
    """Bytes that a block of threads may use on NVIDIA's chips. None: torch does not tell."""
    if device.type != "cuda" or torch.version.hip is not None:
        return None
    properties = torch.cuda.get_device_properties(device)
    return getattr(properties, "shared_memory_per_block_optin", None)


@cache
def converts_float8(device: torch.device) -> bool:
    """True if Triton converts numbers to float8 (E4M3) and back: from compute capability 8.9 on."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 9)


@cache
def runs_hopper_kernels(device: torch.device) -> bool:
    """True if the device is a Hopper, and this Triton's Gluon is one that kernels for it were run with.

    Otherwise Triton's kernels for all chips and the libraries serve.
    """
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    if torch.cuda.get_device_capability(device) != _HOPPER or find_spec("triton") is None:
        return False
    import triton

    return str(triton.__version__).startswith(_GLUON)
