"""The abilities of one release of FlashAttention as data, and the arguments of a layer's call. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the card must be readable without torch
    from torch import Tensor

    from jackfield_torch.interfaces.attention import LayerAttention

DTYPES = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The facts that decide whether a variant serves layers. It is made both from a need and from a running layer."""

    head_size: int  # elements
    block_size: int  # tokens
    features: frozenset[str]  # "window", "soft_cap", "sinks", "non_causal"


@dataclass(slots=True, kw_only=True)
class Call:
    """One layer of one step, in the terms of the interface. R rows, T tokens, at most B blocks a row."""

    q_TNH: Tensor
    key_BSHD: Tensor
    value_BSHD: Tensor
    query_starts_R1: Tensor  # int32
    lengths_R: Tensor  # int32
    length_sums_R1: Tensor  # int32; tokens of rows 0 to r - 1
    block_ids_RB: Tensor  # int32
    most_queries: int  # largest number of queries of a row
    most_length: int  # upper bound that is the same for every replay of a recorded step
    layer: LayerAttention

    def window(self, unbounded: Any = -1) -> tuple[Any, Any]:
        """How many keys before and after its own a query sees. `unbounded` is the library's value for all."""
        if not self.layer.causal:
            return unbounded, unbounded
        left = unbounded if self.layer.window is None else self.layer.window - 1
        return (unbounded, unbounded) if left == unbounded else (left, 0)


Attend = Callable[[ModuleType, Call], "Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One release. `attend` turns a Call into a call of the library's module."""

    name: str  # in facts and reasons: "flash_attn_3"
    label: str  # for people
    distributions: tuple[str, ...]  # each of them contains it; () is torch itself
    modules: tuple[str, ...]  # the first one that can be imported has the function
    function: str  # the function to call
    # A parameter of the function that only releases which read blocks have.
    parameter: str
    remedy: str
    chips: tuple[int, ...]  # major compute capabilities on which its kernels read blocks
    features: frozenset[str]
    block_multiple: int = 1  # the block size must be a multiple of this number of tokens
    head_multiple: int = 8
    most_head_size: int = 256
    attend: Attend

    def load(self) -> ModuleType:
        """The library's module. Raises the error of its import."""
        for module in self.modules[:-1]:
            try:
                return importlib.import_module(module)
            except ModuleNotFoundError:
                continue
        return importlib.import_module(self.modules[-1])

    def objections(self, ask: Ask, chip: int) -> list[str]:
        """Reasons against these layers on a chip of that major capability; empty if there are none."""
        found = []
        if chip not in self.chips:
            found.append(f"reads blocks on chips of capability {_any_of(self.chips)}, not {chip}")
        if missing := sorted(ask.features - self.features):
            found.append(f"has no {', '.join(missing)}")
        if ask.head_size % self.head_multiple or ask.head_size > self.most_head_size:
            found.append(
                f"takes heads of a multiple of {self.head_multiple} elements up to {self.most_head_size}, "
                f"not {ask.head_size}"
            )
        if ask.block_size % self.block_multiple:
            found.append(
                f"reads blocks of a multiple of {self.block_multiple} tokens, not {ask.block_size} "
                f"(set cache.block_size to {self.block_multiple})"
            )
        return found


def _any_of(numbers: tuple[int, ...]) -> str:
    return " or ".join(f"{number}.x" for number in numbers)
