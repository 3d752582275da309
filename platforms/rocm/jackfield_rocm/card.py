"""Facts of AMD's driver on the card that this process would use. They come from amdsmi, without a HIP context."""

from __future__ import annotations

import importlib
import os
from typing import Any

from jackfield.interfaces.card import Facts
from jackfield_rocm.chips import architecture

VISIBLE = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
_MIB = 1 << 20  # amdsmi's unit of video memory
_DRIVER_HINT = "install ROCm and its driver, or give the container the card (--device /dev/kfd --device /dev/dri)"


class NoCard(RuntimeError):
    """There is no card that this process can use. The message says why, and what to do."""


def card_facts() -> Facts:
    """Name, architecture, memory and driver of the first visible card. Raises NoCard."""
    try:
        smi = importlib.import_module("amdsmi")
    except ImportError:
        raise NoCard("amdsmi is not installed; install the one of your ROCm release") from None
    except (KeyError, OSError) as error:  # the library is missing; amdsmi gives no error of its own
        raise NoCard(f"amdsmi finds no ROCm library ({error}); {_DRIVER_HINT}") from None
    try:
        smi.amdsmi_init()
    except smi.AmdSmiException as error:
        raise NoCard(f"no AMD driver answers ({error}); {_DRIVER_HINT}") from None
    try:
        return _facts(smi)
    except smi.AmdSmiException as error:
        raise NoCard(f"AMD's driver does not describe the card: {error}; {_DRIVER_HINT}") from None
    finally:
        smi.amdsmi_shut_down()


def _facts(smi: Any) -> Facts:
    handles = smi.amdsmi_get_processor_handles()
    cards = list(range(len(handles)))
    for variable in VISIBLE:  # each variable picks among the cards that the one before leaves
        cards = visible_cards(cards, os.environ.get(variable))
    if not cards:
        shown = ", ".join(f"{v}={os.environ[v]!r}" for v in VISIBLE if v in os.environ)
        why = f"{shown} leaves none; unset it" if shown else _DRIVER_HINT
        raise NoCard(f"the driver sees {len(handles)} cards: {why}")
    handle = handles[cards[0]]
    chip, memory = smi.amdsmi_get_gpu_asic_info(handle), smi.amdsmi_get_gpu_vram_usage(handle)
    return {
        "device": "cuda",  # name of the device in torch
        "name": chip["market_name"],
        "count": len(cards),
        "architecture": architecture(chip["target_graphics_version"]),
        "total_bytes": memory["vram_total"] * _MIB,
        "available_bytes": (memory["vram_total"] - memory["vram_used"]) * _MIB,
        "driver": smi.amdsmi_get_gpu_driver_info(handle)["driver_version"],
    }


def visible_cards(cards: list[int], visible: str | None) -> list[int]:
    """The entries of `cards` that a variable leaves, by their index. It stops at the first wrong entry."""
    if visible is None:
        return cards
    found: list[int] = []
    for word in (part.strip() for part in visible.split(",")):
        if not word.isdigit() or int(word) >= len(cards):
            break
        found.append(cards[int(word)])
    return found
