"""What one release of FlashAttention can do, as data, and what a layer of a step asks of it. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the card is read where torch is not installed
    from torch import Tensor

    from jackfield_torch.interfaces.attention import LayerAttention

DTYPES = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What decides whether a variant serves layers. A need and a running layer are both put into these words."""

    head_size: int  # elements
    block_size: int  # tokens
    features: frozenset[str]  # "window", "soft_cap", "sinks", "non_causal"


@dataclass(slots=True, kw_only=True)
class Call:
    """One layer of one step, in the words of the interface. R rows, T tokens, B blocks a row at most."""

    q_TNH: Tensor
    key_BSHD: Tensor
    value_BSHD: Tensor
    query_starts_R1: Tensor  # int32
    lengths_R: Tensor  # int32
    length_sums_R1: Tensor  # int32; of rows 0 to r - 1
    block_ids_RB: Tensor  # int32
    most_queries: int  # of a row
    most_length: int  # upper bound, the same whenever a recorded step is replayed
    layer: LayerAttention

    def window(self, unbounded: Any = -1) -> tuple[Any, Any]:
        """How many keys before and after its own a query sees; `unbounded` is the library's word for all."""
        if not self.layer.causal:
            return unbounded, unbounded
        left = unbounded if self.layer.window is None else self.layer.window - 1
        return (unbounded, unbounded) if left == unbounded else (left, 0)


Attend = Callable[[ModuleType, Call], "Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One release. `attend` puts a Call into the words of the library's module."""

    name: str  # in facts and reasons: "flash_attn_3"
    label: str  # for people
    distributions: tuple[str, ...]  # any of which brings it; () is torch itself
    modules: tuple[str, ...]  # the first that can be imported has the functions
    function: str  # that is called
    parameter: str  # of it, by which releases that read blocks are told from older ones
    remedy: str
    chips: tuple[int, ...]  # major compute capabilities that its kernels read blocks on
    features: frozenset[str]
    block_multiple: int = 1  # blocks hold a multiple of so many tokens
    head_multiple: int = 8
    most_head_size: int = 256
    attend: Attend

    def load(self) -> ModuleType:
        """The library's module. Raises whatever its import raises."""
        for module in self.modules[:-1]:
            try:
                return importlib.import_module(module)
            except ModuleNotFoundError:
                continue
        return importlib.import_module(self.modules[-1])

    def objections(self, ask: Ask, chip: int) -> list[str]:
        """Why it does not serve these layers on a chip of that major capability, in words; empty if it does."""
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
