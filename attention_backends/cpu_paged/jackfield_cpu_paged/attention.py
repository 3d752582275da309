"""Attention over the paged cache of one group: a kernel for rows with one query, torch's operator for all others."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield.cache import CacheGroup
from jackfield.dtypes import FLOAT8_E4M3
from jackfield_cpu_paged.chunks import Chunk, plan_chunks
from jackfield_cpu_paged.kernel import Decode, Level, load_library
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.interfaces.openmp import openmp_parallel

Sight = tuple[int | None, int | None]  # window, and size of chunks of positions


class CpuPagedAttention(GroupAttention):
    """One kernel call for each layer serves all decoding rows: nothing is gathered, padded or masked.

    A row with many queries is a matrix product, for which torch's kernel is best. It runs by itself over its keys,
    which are a view if its blocks are consecutive.
    """

    def __init__(
        self, group: CacheGroup, limits: AttentionLimits, level: Level | None = None
    ) -> None:
        library = load_library()
        self._dtype = limits.dtype
        self._kernel = library.paged_decode
        self._parallel = openmp_parallel()
        self._decode = Decode(
            num_heads=limits.num_heads,
            num_kv_heads=limits.num_kv_heads,
            head_size=limits.head_size,
            is_bf16=limits.dtype == torch.bfloat16,
            is_float8=group.dtype == FLOAT8_E4M3,
            level=library.paged_decode_level() if level is None else level,
        )
        self._by_reference = ctypes.byref(self._decode)
        self._rows = torch.empty(limits.max_rows, dtype=torch.int32)  # the decoding rows
        self._batch: AttentionBatch | None = None
        self._chunks: dict[Sight, list[Chunk]] = {}

    def prepare(self, batch: AttentionBatch) -> None:
        """Set the kernel's pointers for the step's rows. Chunks are planned when a layer with their window first runs."""
        self._batch = batch  # keeps the memory of the kernel's pointers alive
        self._chunks.clear()
        rows = [row for row, count in enumerate(batch.query_lengths) if count == 1]
        # Longest first: threads take rows in this order, and short ones at the end let them stop together.
        rows.sort(key=batch.lengths.__getitem__, reverse=True)
        self._rows[: len(rows)] = torch.tensor(rows, dtype=torch.int32)
        decode = self._decode
        decode.num_rows = len(rows)
        decode.rows = self._rows.data_ptr()
        decode.tokens = batch.query_starts_R1.data_ptr()
        decode.lengths = batch.lengths_R.data_ptr()
        decode.block_ids = batch.block_ids_RB.data_ptr()
        decode.table_stride = batch.block_ids_RB.stride(0)
        decode.num_threads = torch.get_num_threads()

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
        if self._decode.num_rows:
            self._attend_decode(q_TNH, cache, layer, o_TNH)
        if self._decode.num_rows < q_TNH.shape[0]:
            for chunk in self._planned(cache, layer):
                chunk.attend(q_TNH, cache, layer.scale, o_TNH)
        return o_TNH

    def close(self) -> None:
        """Drop the last step."""
        self._batch = None
        self._chunks.clear()

    def _attend_decode(
        self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention, o_TNH: Tensor
    ) -> None:
        token_stride, *others = q_TNH.stride()
        if others != [q_TNH.shape[2], 1]:
            q_TNH = q_TNH.contiguous()
            token_stride = q_TNH.stride(0)
        decode, key = self._decode, cache.key_BSHD
        decode.query, decode.query_stride = q_TNH.data_ptr(), token_stride
        decode.key, decode.value = key.data_ptr(), cache.value_BSHD.data_ptr()
        decode.out = o_TNH.data_ptr()
        decode.block_size = key.shape[1]
        decode.block_stride, decode.slot_stride, decode.head_stride, _ = key.stride()
        decode.window, decode.chunk_size = layer.window or 0, layer.chunk_size or 0
        decode.scale = layer.scale
        self._kernel(self._by_reference, self._parallel)

    def _planned(self, cache: LayerCache, layer: LayerAttention) -> list[Chunk]:
        sight = layer.window, layer.chunk_size
        chunks = self._chunks.get(sight)
        if chunks is None:
            assert self._batch is not None, "prepare() comes first"
            chunks = plan_chunks(self._batch, cache.key_BSHD.shape[1], layer, self._dtype)
            self._chunks[sight] = chunks
        return chunks
