"""Attention over the paged cache of one group: chooses the kernel and its tiles for the rows of each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from jackfield_torch.chip import converts_float8, has_large_memory
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.kernels.launch import launch_options, next_power_of_two
from jackfield_triton_attn.decode import decode
from jackfield_triton_attn.hopper import attend_hopper, boxes_of, fits_hopper
from jackfield_triton_attn.order import order_rows
from jackfield_triton_attn.prefill import prefill
from jackfield_triton_attn.tiles import (
    decode_tiles,
    is_ordered,
    num_splits,
    prefill_tiles,
    tiles_of_split,
)


class TritonAttention(GroupAttention):
    """Runs one kernel for rows with one query and another for rows with several; each skips the rows of the other.

    Launches depend only on the numbers of rows and tokens. So a recorded step serves every step with the same numbers,
    whatever the number of queries of each row.
    """

    def __init__(self, limits: AttentionLimits) -> None:
        self._limits = limits
        self._group = limits.num_heads // limits.num_kv_heads
        self._head_padded = max(16, next_power_of_two(limits.head_size))
        self._head_bytes = self._head_padded * limits.dtype.itemsize
        self._described: dict[Any, tuple[Any, Any]] = {}
        self._precision = "ieee" if limits.dtype == torch.float32 else "tf32"
        self._options = launch_options(limits.device)
        parts = max(
            rows * num_splits(rows, limits.num_kv_heads, limits.max_length)
            for rows in range(1, limits.max_rows + 1)
        )
        places = parts * limits.num_heads
        empty: dict[str, Any] = {"dtype": torch.float32, "device": limits.device}
        self._parts = torch.empty(places * limits.head_size, **empty)
        self._sums = torch.empty(places * 2, **empty)
        self._counters = torch.zeros(
            limits.max_rows * limits.num_kv_heads, dtype=torch.int32, device=limits.device
        )
        self._order = torch.empty(limits.max_rows, dtype=torch.int32, device=limits.device)
        self._batch: AttentionBatch | None = None
        self._has_single = self._has_several = False

    def prepare(self, batch: AttentionBatch) -> None:
        """Note which kernels have rows to serve. If there are many rows, sort them by length, the longest first."""
        self._batch = batch
        longest, shortest = max(batch.query_lengths), min(batch.query_lengths)
        num_rows = len(batch.lengths_R)
        self._has_several = longest > 1
        self._has_single = shortest == 1 or (self._has_several and num_rows > 1)
        if self._has_single and is_ordered(num_rows, self._limits.num_kv_heads):
            order_rows(batch.lengths_R, self._order[:num_rows])

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        assert self._batch is not None, "prepare() comes first"
        cache = self._readable(cache)
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device)
        if self._has_several or (self._has_single and not layer.causal):
            if fits_hopper(self._limits, cache, layer) and is_described(cache):
                self._prefill_hopper(q_TNH, cache, layer, o_TNH)
            else:
                self._prefill(q_TNH, cache, layer, o_TNH)
        if self._has_single and layer.causal:
            self._decode(q_TNH, cache, layer, o_TNH)
        return o_TNH

    def close(self) -> None:
        """Drop the buffers."""
        self._batch = None
        self._parts = self._sums = self._counters = torch.empty(0)
        self._described.clear()

    def _decode(self, q: Tensor, cache: LayerCache, layer: LayerAttention, o: Tensor) -> None:
        batch, limits = self._batch, self._limits
        assert batch is not None
        num_rows = len(batch.lengths_R)
        splits = num_splits(num_rows, limits.num_kv_heads, limits.max_length)
        tiles = decode_tiles(self._group, self._head_bytes, num_rows * limits.num_kv_heads)
        decode[(limits.num_kv_heads, num_rows, splits)](
            q, cache.key_BSHD, cache.value_BSHD, o, self._parts, self._sums, self._counters,
            batch.query_starts_R1, batch.lengths_R, self._order, batch.block_ids_RB, _sinks(layer, q), layer.scale,
            layer.window or layer.chunk_size or 0, layer.soft_cap or 0.0, splits, tiles_of_split(splits),
            q.stride(0), q.stride(1), o.stride(0), batch.block_ids_RB.stride(0),
            *cache.key_BSHD.stride()[:3], *cache.value_BSHD.stride()[:3],
            GROUP=self._group, GROUP_PADDED=tiles.lines,
            HEAD=limits.head_size, HEAD_PADDED=self._head_padded, TILE=tiles.keys,
            BLOCK_SIZE=cache.key_BSHD.shape[1], HAS_WINDOW=_is_local(layer),
            CHUNKED=layer.chunk_size is not None, HAS_CAP=layer.soft_cap is not None,
            SINKS=layer.sinks_N is not None, ORDERED=is_ordered(num_rows, limits.num_kv_heads),
            PRECISION=self._precision, STAGES=tiles.stages, num_warps=tiles.warps, **self._options,
        )  # fmt: skip

    def _prefill(self, q: Tensor, cache: LayerCache, layer: LayerAttention, o: Tensor) -> None:
        batch, limits = self._batch, self._limits
        assert batch is not None
        num_rows = len(batch.lengths_R)
        keys, values = cache.key_BSHD, cache.value_BSHD
        described = self._can_describe(cache)
        tiles = prefill_tiles(self._group, self._head_bytes, described=described)
        boxes = self._boxes(cache, self._describe) if described else (keys, values)
        queries = tiles.lines // self._group
        num_tiles = q.shape[0] // queries + num_rows
        prefill[(num_tiles, limits.num_kv_heads)](
            q, keys, values, *boxes, o,
            batch.query_starts_R1, batch.lengths_R, batch.block_ids_RB, _sinks(layer, q), layer.scale,
            layer.window or layer.chunk_size or 0, layer.soft_cap or 0.0, num_rows,
            q.stride(0), q.stride(1), o.stride(0), batch.block_ids_RB.stride(0),
            *cache.key_BSHD.stride()[:3], *cache.value_BSHD.stride()[:3],
            GROUP=self._group, HEAD=limits.head_size, HEAD_PADDED=self._head_padded, QUERIES=queries,
            LINES=tiles.lines, TILE=tiles.keys, BLOCK_SIZE=cache.key_BSHD.shape[1], DESCRIBED=described,
            CAUSAL=layer.causal, HAS_WINDOW=_is_local(layer), CHUNKED=layer.chunk_size is not None,
            HAS_CAP=layer.soft_cap is not None,
            SINKS=layer.sinks_N is not None, SKIP_SINGLE=self._has_single and layer.causal,
            PRECISION=self._precision, STAGES=tiles.stages,
            num_warps=tiles.warps, **self._options,
        )  # fmt: skip

    def _prefill_hopper(
        self, q: Tensor, cache: LayerCache, layer: LayerAttention, o: Tensor
    ) -> None:
        assert self._batch is not None
        boxes = self._boxes(cache, boxes_of)
        block_size = cache.key_BSHD.shape[1]
        attend_hopper(
            q, boxes, layer, self._batch, self._limits, block_size, o, skip_single=self._has_single
        )

    def _readable(self, cache: LayerCache) -> LayerCache:
        """The cache; a float8 cache as bytes if the chip does not convert float8."""
        if cache.key_BSHD.dtype.itemsize > 1 or converts_float8(cache.key_BSHD.device):
            return cache
        return LayerCache(cache.key_BSHD.view(torch.uint8), cache.value_BSHD.view(torch.uint8))

    def _can_describe(self, cache: LayerCache) -> bool:
        """True if Hopper's copy engine can read a tile of keys as one box of memory."""
        tile = prefill_tiles(self._group, self._head_bytes, described=True).keys
        return (
            has_large_memory(self._limits.device)
            and cache.key_BSHD.shape[1] % tile == 0
            and self._head_padded == self._limits.head_size
            and cache.key_BSHD.dtype == self._limits.dtype
            and is_described(cache)
        )

    def _boxes(self, cache: LayerCache, describe: Callable[[Tensor], Any]) -> tuple[Any, Any]:
        """The descriptors of a layer's cache. They are kept, because making them takes as long as a launch."""
        place = (cache.key_BSHD.data_ptr(), describe)
        if place not in self._described:
            self._described[place] = (describe(cache.key_BSHD), describe(cache.value_BSHD))
        return self._described[place]

    def _describe(self, cache_BSHD: Tensor) -> TensorDescriptor:
        """For reading the keys of a tile as one box."""
        tile = prefill_tiles(self._group, self._head_bytes, described=True).keys
        return describe(cache_BSHD, tile)


def is_described(cache: LayerCache) -> bool:
    """True if descriptors for the copy engine can say where the keys and values are."""
    return is_run(cache.key_BSHD) and is_run(cache.value_BSHD)


def is_run(cache_BSHD: Tensor) -> bool:
    """True if the slots of all blocks follow one another in memory, and the heads of a slot do too."""
    block, slot, head, element = cache_BSHD.stride()
    _, block_size, _, head_size = cache_BSHD.shape
    return block == block_size * slot and head == head_size and element == 1


def describe(cache_BSHD: Tensor, tile: int) -> TensorDescriptor:
    """A descriptor for reading boxes of `tile` slots of one head."""
    num_blocks, block_size, num_heads, head_size = cache_BSHD.shape
    shape = [num_blocks * block_size, num_heads * head_size]
    return TensorDescriptor(cache_BSHD, shape, [cache_BSHD.stride(1), 1], [tile, head_size])


def _sinks(layer: LayerAttention, q: Tensor) -> Tensor:
    return q if layer.sinks_N is None else layer.sinks_N


def _is_local(layer: LayerAttention) -> bool:
    """True if a query does not see all tokens before it."""
    return layer.window is not None or layer.chunk_size is not None
