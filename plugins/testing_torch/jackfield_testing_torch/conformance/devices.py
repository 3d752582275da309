"""Devices as data: which ones this machine has, and which of them can record graphs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import torch


def device_names() -> tuple[str, ...]:
    """The devices of this machine, named as in torch. The host is first, since every machine has it."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return ("cpu",) if found is None else ("cpu", found.type)


def choose_device(wish: str, is_served: Callable[[str], bool]) -> str:
    """The device for a kit: `wish`, else the first device here that the plugin serves, else the first."""
    if wish:
        return wish
    return next(filter(is_served, device_names()), device_names()[0])


def graphs_of(device: torch.device) -> ModuleType | None:
    """The module of torch that records graphs of this device; None if there is none."""
    module = torch.get_device_module(device)
    return module if hasattr(module, "CUDAGraph") else None  # torch uses this name for all makes
