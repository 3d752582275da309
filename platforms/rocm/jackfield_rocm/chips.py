"""Facts on AMD's chips, by architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """Figures of AMD, not measured."""

    name: str
    shared_bytes: int  # memory of a compute unit that a kernel may use
    float8: str  # kind that its matrix instructions multiply; "": none


CHIPS: Mapping[str, Chip] = {  # tools/compile_kernels.py compiles Triton kernels for them
    "gfx90a": Chip(name="MI210, MI250", shared_bytes=64 << 10, float8=""),
    "gfx942": Chip(name="MI300, MI325", shared_bytes=64 << 10, float8="float8_e4m3fnuz"),
    "gfx950": Chip(name="MI350, MI355", shared_bytes=160 << 10, float8="float8_e4m3fn"),
}


def architecture(target: str) -> str:
    """ "gfx942" from "gfx942:sramecc+:xnack-", which is the form of the driver and of torch."""
    return target.partition(":")[0]
