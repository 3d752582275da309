"""The paged key-value cache: one tensor a cache group, written by slots and read by backends through views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.dtypes import DType
from jackfield.errors import SelectionError
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import LayerCache

_CANONICAL = "KBSHD"


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the tokens of a step go in one cache group: int64, block * block_size + offset."""

    slots_T: Tensor
    block_size: int


class LayerStore:
    """The cache of one layer: views for the backend, and the writer."""

    def __init__(self, cache_KBSHD: Tensor) -> None:
        key, value = cache_KBSHD
        self.views = LayerCache(key, value)
        self._flat = _flat_slots(key), _flat_slots(value)

    def write(self, k_TKH: Tensor, v_TKH: Tensor, slots: Slots) -> None:
        """Put the keys and values of T tokens into their slots."""
        flat_key, flat_value = self._flat
        if flat_key is not None and flat_value is not None:
            flat_key.index_copy_(0, slots.slots_T, k_TKH.to(flat_key.dtype))
            flat_value.index_copy_(0, slots.slots_T, v_TKH.to(flat_value.dtype))
            return
        where = slots.slots_T // slots.block_size, slots.slots_T % slots.block_size
        key, value = self.views.key_BSHD, self.views.value_BSHD
        key[where] = k_TKH.to(key.dtype)
        value[where] = v_TKH.to(value.dtype)


class GroupCache:
    """All layers of one cache group in one tensor, so that a block is copied in all of them at once."""

    def __init__(
        self,
        group: CacheGroup,
        layout: CacheLayout,
        num_blocks: int,
        num_kv_heads: int,
        device: torch.device,
    ) -> None:
        sizes = {
            "K": 2,
            "B": num_blocks,
            "S": layout.block_size,
            "H": num_kv_heads,
            "D": group.head_size,
        }
        # Not filled: the system hands out pages when they are first written, and readers ignore unwritten slots.
        storage = torch.empty(
            len(group.layers),
            *(sizes[axis] for axis in layout.order),
            dtype=torch_dtype(layout.dtype),
            device=device,
        )
        self._storage_NKBSHD = storage.permute(
            0, *(1 + layout.order.index(axis) for axis in _CANONICAL)
        )
        self.layers = {
            layer: LayerStore(self._storage_NKBSHD[index])
            for index, layer in enumerate(group.layers)
        }

    def copy_block(self, source: int, target: int) -> None:
        """Copy a whole block."""
        self._storage_NKBSHD[:, :, target] = self._storage_NKBSHD[:, :, source]


def choose_layout(
    support: LayoutSupport, block_size: int, dtype: DType, subject: str, name: str
) -> CacheLayout:
    """The first order that the backend reads, with the engine's block size and dtype. Raises SelectionError."""
    candidates: Iterable[CacheLayout] = (
        CacheLayout(order=order, block_size=block_size, dtype=dtype) for order in support.orders
    )
    for layout in candidates:
        if sorted(layout.order) == sorted(_CANONICAL) and support.accepts(layout):
            return layout
    raise SelectionError(
        f"the attention backend {name!r} for {subject} reads no layout with blocks of {block_size} tokens in {dtype}; "
        f"it reads the orders {', '.join(support.orders)}, block sizes {_any_or(support.block_sizes)} and "
        f"dtypes {_any_or(support.dtypes)}. Set cache.block_size and cache.dtype to what it reads, "
        "or select another backend with select.attention"
    )


def _any_or(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "any"


def _flat_slots(cache_BSHD: Tensor) -> Tensor | None:
    """The same memory as [slots, heads, head size], where blocks and their slots are neighbours in memory."""
    num_blocks, block_size, *_ = cache_BSHD.shape
    adjacent = cache_BSHD.stride(0) == block_size * cache_BSHD.stride(1)
    return cache_BSHD.flatten(0, 1) if adjacent or num_blocks == 1 else None
