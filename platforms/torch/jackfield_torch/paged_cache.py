"""The paged key-value cache: one tensor a cache group, written by slots and read by backends through views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class Places:
    """The places of a step's tokens in every layer of a group: rows of head_size elements, int64 [T * H]."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True)
class CacheScales:
    """Factors that turn the numbers of a float8 cache into the keys and values of a layer."""

    key: float = 1.0
    value: float = 1.0


class LayerStore:
    """The cache of one layer: views for the backend, and the writer."""

    def __init__(
        self, storage: Tensor, cache_KBSHD: Tensor, scales: CacheScales = CacheScales()
    ) -> None:
        self._storage = storage
        self._heads = storage.view(-1, storage.shape[-1])
        self._cache_KBSHD = cache_KBSHD
        self.scales = scales

    def scaled(self, scales: CacheScales | None) -> LayerStore:
        """A store that divides what it writes, if the cache is of 8-bit floats. Other caches need no scales."""
        if scales is None or self._heads.itemsize != 1:
            return self
        return LayerStore(self._storage, self._cache_KBSHD, scales)

    @property
    def views(self) -> LayerCache:
        """Keys and values."""
        return LayerCache(self._cache_KBSHD[0], self._cache_KBSHD[-1])

    def latent_views(self, size: int) -> LayerCache:
        """Views of a latent cache: the first `size` elements of a key are its value."""
        key_BSHD = self._cache_KBSHD[0]
        return LayerCache(key_BSHD, key_BSHD[..., :size])

    def write(self, k_TKH: Tensor, v_TKH: Tensor | None, places: Places) -> None:
        """Write the keys and values of T tokens to their places. None: values are part of the keys."""
        self._copy(places.keys, k_TKH, self.scales.key)
        if v_TKH is not None:
            self._copy(places.values, v_TKH, self.scales.value)

    def _copy(self, places: Tensor, x_TKH: Tensor, scale: float) -> None:
        heads, x = self._heads, x_TKH.flatten(0, 1)
        if heads.itemsize == 1:  # torch can move bytes on every device, but not float8
            x = _as_float8(x, scale, heads.dtype).view(torch.uint8)
            heads.view(torch.uint8).index_copy_(0, places, x)
        else:
            heads.index_copy_(0, places, x.to(heads.dtype))


class GroupCache:
    """All layers of one cache group in one tensor, so that a block is copied in all of them at once."""

    def __init__(
        self,
        group: CacheGroup,
        layout: CacheLayout,
        num_blocks: int,
        num_kv_heads: int,
        device: torch.device,
        is_filled: bool = False,
    ) -> None:
        sizes = {
            "K": len(group.tensors),
            "B": num_blocks,
            "S": layout.block_size,
            "H": num_kv_heads,
            "D": group.head_size,
        }
        # Filled only if a reader needs numbers in unwritten slots. Otherwise the system provides pages when they are
        # first written.
        make = torch.zeros if is_filled else torch.empty
        storage = make(
            len(group.layers),
            *(sizes[axis] for axis in layout.order),
            dtype=torch_dtype(layout.dtype),
            device=device,
        )
        self._storage_NKBSHD = storage.permute(
            0, *(1 + layout.order.index(axis) for axis in _CANONICAL)
        )
        self.layers = {
            layer: LayerStore(storage[index], self._storage_NKBSHD[index])
            for index, layer in enumerate(group.layers)
        }
        strides = dict(
            zip(
                _CANONICAL,
                (s // group.head_size for s in self._storage_NKBSHD.stride()[1:]),
                strict=True,
            )
        )
        self._block_size = layout.block_size
        self._block_stride, self._slot_stride = strides["B"], strides["S"]
        self._head_offsets_H = strides["H"] * torch.arange(num_kv_heads, device=device)
        self._value_offset = strides["K"]

    def places(self, slots_T: Tensor) -> Places:
        """The places of tokens with these slots (block * block_size + offset), which are the same in all layers."""
        start_T = (slots_T // self._block_size) * self._block_stride
        start_T += (slots_T % self._block_size) * self._slot_stride
        keys = (start_T.unsqueeze(1) + self._head_offsets_H).flatten()
        return Places(keys, keys + self._value_offset)

    def copy_block(self, source: int, target: int) -> None:
        """Copy a whole block."""
        self._storage_NKBSHD[:, :, target] = self._storage_NKBSHD[:, :, source]


def choose_layout(
    readers: Mapping[str, LayoutSupport], block_size: int, dtype: DType, subject: str
) -> CacheLayout:
    """The first order that all backends (by name) of a cache group read, with the engine's block size and dtype.

    The first backend's order of preference counts. Raises SelectionError.
    """
    first, *others = readers.values()
    for order in filter(_is_known, first.orders):
        layout = CacheLayout(order=order, block_size=block_size, dtype=dtype)
        if all(reader.accepts(layout) for reader in (first, *others)):
            return layout
    what = (
        f"the attention backends {', '.join(map(repr, readers))} for {subject} share a cache and read no layout"
        if others
        else f"the attention backend {next(iter(readers))!r} for {subject} reads no layout"
    )
    raise SelectionError(
        f"{what} with blocks of {block_size} tokens in {dtype}; {'; '.join(_reads(*reader) for reader in readers.items())}. "
        "Set cache.block_size and cache.dtype to what it reads, or select another backend with select.attention"
    )


def _as_float8(x: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """Divide and round. Values beyond the range become its end, because torch would make them NaN in e4m3."""
    largest = torch.finfo(dtype).max
    if scale != 1.0:
        x = x / scale
    return x.clamp(-largest, largest).to(dtype)


def _reads(name: str, support: LayoutSupport) -> str:
    return (
        f"{name} reads the orders {', '.join(support.orders)}, block sizes {_any_or(support.block_sizes)} and "
        f"dtypes {_any_or(support.dtypes)}"
    )


def _is_known(order: str) -> bool:
    """True for any order whose last axis holds a head's elements, so that a head is written in one piece."""
    return sorted(order) == sorted(_CANONICAL) and order.endswith("D")


def _any_or(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "any"
