"""Facts of NVIDIA's driver on the card that this process would use. They come from NVML, without a CUDA context."""

from __future__ import annotations

import os
from typing import Any

from jackfield.interfaces.card import Facts

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER_HINT = "install NVIDIA's driver, or give the container the card (docker run --gpus all)"


class NoCard(RuntimeError):
    """There is no card that this process can use. The message says why, and what to do."""


def card_facts() -> Facts:
    """Name, memory, capability and driver of the first visible card. Raises NoCard."""
    try:
        import pynvml
    except ImportError:
        raise NoCard("nvidia-ml-py is not installed; pip install nvidia-ml-py") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoCard(f"no NVIDIA driver answers ({error}); {_DRIVER_HINT}") from None
    try:
        return _facts(pynvml)
    except pynvml.NVMLError as error:
        raise NoCard(
            f"NVIDIA's driver does not describe the card: {error}; {_DRIVER_HINT}"
        ) from None
    finally:
        pynvml.nvmlShutdown()


def _facts(nvml: Any) -> Facts:
    cards = visible_cards(nvml.nvmlDeviceGetCount(), os.environ.get(VISIBLE))
    if not cards:
        raise NoCard(
            f"the driver sees {nvml.nvmlDeviceGetCount()} cards, and {VISIBLE}={os.environ.get(VISIBLE)!r} leaves none; "
            f"unset {VISIBLE}, or name one of them"
        )
    handle = _handle(nvml, cards[0])
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()
    return {
        "device": "cuda",
        "name": nvml.nvmlDeviceGetName(handle),
        "count": len(cards),
        "capability": 10 * major + minor,
        "total_bytes": memory.total,
        "available_bytes": memory.free,
        "driver": nvml.nvmlSystemGetDriverVersion(),
        # The newest version that the driver supports.
        "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
    }


def visible_cards(count: int, visible: str | None) -> list[int | str]:
    """The cards that CUDA would show, by index or by the beginning of their UUID. CUDA stops at the first wrong entry."""
    if visible is None:
        return list(range(count))
    cards: list[int | str] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.isdigit() and int(word) < count:
            cards.append(int(word))
        elif word.startswith(("GPU-", "MIG-")):
            cards.append(word)
        else:
            break
    return cards


def _handle(nvml: Any, card: int | str) -> Any:
    if isinstance(card, int):
        return nvml.nvmlDeviceGetHandleByIndex(card)
    return nvml.nvmlDeviceGetHandleByUUID(card)
