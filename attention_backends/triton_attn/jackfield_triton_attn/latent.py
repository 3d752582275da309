"""Attention over the latent cache of one group: tiles of queries and heads, and splits of contexts where there are few."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from jackfield_torch.chip import converts_float8, has_large_memory
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.kernels.launch import launch_options, next_power_of_two
from jackfield_triton_attn.latent_kernel import attend_latent, combine_parts
from jackfield_triton_attn.tiles import Tiles, latent_splits, latent_tiles

_LEAST_SIDE = 16  # of a product of tensor cores
_PROCESSORS = 132  # of an H200, where kernels run without a device
_PROGRAMS_OF_PROCESSOR = 2  # whose tiles shared memory holds on Hopper
_COMBINED = 4096  # numbers that one program adds up


class LatentAttention(GroupAttention):
    """One kernel for all rows, and one that adds up where contexts are split.

    What is launched depends on the numbers of rows and tokens alone, as in TritonAttention.
    """

    def __init__(self, limits: AttentionLimits, itemsize: int) -> None:
        """`itemsize`: bytes of a number in the cache."""
        self._limits = limits
        self._itemsize = max(itemsize, limits.dtype.itemsize)
        self._options = launch_options(limits.device)
        self._precision = "ieee" if limits.dtype == torch.float32 else "tf32"
        self._num_processors = _num_processors(limits.device)
        self._batch: AttentionBatch | None = None
        # Parts of a token: made at once, because recorded steps keep their addresses.
        single = self._tiles(single=True)
        splits = [(rows, self._num_splits(rows, single)) for rows in range(1, limits.max_rows + 1)]
        self._most_parts = max((rows * count for rows, count in splits if count > 1), default=0)
        places = self._most_parts * limits.num_heads
        empty: dict[str, Any] = {"dtype": torch.float32, "device": limits.device}
        self._parts = torch.empty(places * limits.head_size, **empty)
        self._sums = torch.empty(places * 2, **empty)

    def prepare(self, batch: AttentionBatch) -> None:
        """Note the rows."""
        self._batch = batch

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """As the interface says; T tokens, N heads, o_TNC with the C elements of a latent vector."""
        assert self._batch is not None, "prepare() comes first"
        assert layer.latent is not None, "the cache is latent"
        batch, latent, kept = self._batch, layer.latent, self._readable(cache.key_BSHD)
        num_tokens, num_heads, size = q_TNH.shape
        num_rows = len(batch.lengths_R)
        is_single = num_tokens == num_rows
        tiles = self._tiles(single=is_single)
        group = min(num_heads, tiles.lines)
        queries = 1 if is_single else tiles.lines // group
        num_tiles = num_rows if is_single else num_tokens // queries + num_rows
        num_groups = triton.cdiv(num_heads, tiles.lines)
        num_splits = min(self._num_splits(num_tiles, tiles), max(1, self._most_parts // num_tokens))
        o_TNC = q_TNH.new_empty((num_tokens, num_heads, latent))
        attend_latent[(num_groups, num_tiles, num_splits)](
            q_TNH, kept, o_TNC, self._parts, self._sums, batch.query_starts_R1, batch.lengths_R, batch.block_ids_RB,
            layer.scale, num_rows, num_splits, q_TNH.stride(0), q_TNH.stride(1), o_TNC.stride(0),
            batch.block_ids_RB.stride(0), kept.stride(0), kept.stride(1),
            HEADS=num_heads, GROUP=group, QUERIES=queries, LINES=tiles.lines,
            LATENT=latent, LATENT_PADDED=_padded(latent), ROTATED=size - latent, ROTATED_PADDED=_padded(size - latent),
            TILE=tiles.keys, BLOCK_SIZE=kept.shape[1], SINGLE=is_single, SPLIT=num_splits > 1,
            PRECISION=self._precision, STAGES=tiles.stages, num_warps=tiles.warps, **self._options,
        )  # fmt: skip
        if num_splits > 1:
            splits = next_power_of_two(num_splits)
            elements = min(_padded(latent), max(64, _COMBINED // splits))
            combine_parts[(num_heads, num_tokens, triton.cdiv(latent, elements))](
                o_TNC, self._parts, self._sums, num_splits, o_TNC.stride(0),
                LATENT=latent, ELEMENTS=elements, SPLITS=splits, num_warps=4, **self._options,
            )  # fmt: skip
        return o_TNC

    def close(self) -> None:
        """Drop the buffers."""
        self._batch = None
        self._parts = self._sums = torch.empty(0)

    def _tiles(self, *, single: bool) -> Tiles:
        limits = self._limits
        is_large = has_large_memory(limits.device)
        return latent_tiles(limits.num_heads, self._itemsize, is_large=is_large, single=single)

    def _num_splits(self, num_tiles: int, tiles: Tiles) -> int:
        programs = num_tiles * triton.cdiv(self._limits.num_heads, tiles.lines)
        at_once = self._num_processors * _PROGRAMS_OF_PROCESSOR
        return latent_splits(programs, at_once, tiles.keys, self._limits.max_length)

    def _readable(self, kept_BS1D: Tensor) -> Tensor:
        """A cache of float8 as bytes where the chip does not convert them."""
        if kept_BS1D.dtype.itemsize > 1 or converts_float8(kept_BS1D.device):
            return kept_BS1D
        return kept_BS1D.view(torch.uint8)


def _padded(size: int) -> int:
    return max(_LEAST_SIDE, next_power_of_two(size))


def _num_processors(device: torch.device) -> int:
    if device.type != "cuda":
        return _PROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count
