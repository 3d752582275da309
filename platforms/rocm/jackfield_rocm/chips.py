"""What is known of AMD's chips, by architecture: a table that `check` and people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """Figures are AMD's, not measured."""

    name: str
    shared_bytes: int  # that a kernel may take of a compute unit
    float8: str  # the kind that its matrix instructions multiply; "": none


CHIPS: Mapping[str, Chip] = {  # that tools/compile_kernels.py compiles Triton kernels for
    "gfx90a": Chip(name="MI210, MI250", shared_bytes=64 << 10, float8=""),
    "gfx942": Chip(name="MI300, MI325", shared_bytes=64 << 10, float8="float8_e4m3fnuz"),
    "gfx950": Chip(name="MI350, MI355", shared_bytes=160 << 10, float8="float8_e4m3fn"),
}


def architecture(target: str) -> str:
    """ "gfx942" of "gfx942:sramecc+:xnack-", as the driver and torch name targets."""
    return target.partition(":")[0]
