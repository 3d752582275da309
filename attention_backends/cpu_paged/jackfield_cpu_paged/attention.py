"""Attention over the paged cache of one group: kernels for rows with one query and, on AMX, for rows with several."""

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
    """One kernel call for each layer serves all decoding rows, and one all others: nothing is gathered, padded or masked.

    Without a matrix unit (AMX), and where its kernel does not serve, a row with many queries runs by itself with torch's
    operator over its keys, which are a view if its blocks are consecutive.
    """

    def __init__(
        self, group: CacheGroup, limits: AttentionLimits, level: Level | None = None
    ) -> None:
        library = load_library()
        self._dtype = limits.dtype
        self._library = library
        self._parallel = openmp_parallel()
        facts = {
            "num_heads": limits.num_heads,
            "num_kv_heads": limits.num_kv_heads,
            "head_size": limits.head_size,
            "is_bf16": limits.dtype == torch.bfloat16,
            "is_float8": group.dtype == FLOAT8_E4M3,
            "level": library.paged_decode_level() if level is None else level,
        }
        self._decode, self._prompts = Decode(**facts), Decode(**facts)
        self.has_prompt_kernel = bool(library.paged_prompts_serves(ctypes.byref(self._prompts)))
        # Decoding rows, then the others.
        self._rows = torch.empty(limits.max_rows, dtype=torch.int32)
        self._batch: AttentionBatch | None = None
        self._chunks: dict[Sight, list[Chunk]] = {}

    def prepare(self, batch: AttentionBatch) -> None:
        """Set the kernels' pointers for the step's rows. Chunks are planned when a layer with their window first runs."""
        self._batch = batch  # keeps the memory of the kernels' pointers alive
        self._chunks.clear()
        single: list[int] = []
        several: list[int] = []
        for row, count in enumerate(batch.query_lengths):
            (single if count == 1 else several).append(row)
        # Longest first: threads take rows in this order, and short ones at the end let them stop together.
        single.sort(key=batch.lengths.__getitem__, reverse=True)
        self._rows[: len(single) + len(several)] = torch.tensor(single + several, dtype=torch.int32)
        for kernel, rows, first in (
            (self._decode, single, 0),
            (self._prompts, several, len(single)),
        ):
            kernel.num_rows = len(rows)
            if not rows:
                continue
            kernel.rows = self._rows[first:].data_ptr()
            kernel.tokens = batch.query_starts_R1.data_ptr()
            kernel.lengths = batch.lengths_R.data_ptr()
            kernel.block_ids = batch.block_ids_RB.data_ptr()
            kernel.table_stride = batch.block_ids_RB.stride(0)
            kernel.num_threads = torch.get_num_threads()

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
        library = self._library
        if self._decode.num_rows:
            self._call(library.paged_decode, self._decode, q_TNH, cache, layer, o_TNH)
        if self._prompts.num_rows and self.has_prompt_kernel:
            self._call(library.paged_prompts, self._prompts, q_TNH, cache, layer, o_TNH)
        elif self._prompts.num_rows:
            for chunk in self._planned(cache, layer):
                chunk.attend(q_TNH, cache, layer.scale, o_TNH)
        return o_TNH

    def close(self) -> None:
        """Drop the last step."""
        self._batch = None
        self._chunks.clear()

    def _call(
        self,
        function: ctypes._NamedFuncPointer,
        kernel: Decode,
        q_TNH: Tensor,
        cache: LayerCache,
        layer: LayerAttention,
        o_TNH: Tensor,
    ) -> None:
        token_stride, *others = q_TNH.stride()
        if others != [q_TNH.shape[2], 1]:
            q_TNH = q_TNH.contiguous()
            token_stride = q_TNH.stride(0)
        key = cache.key_BSHD
        kernel.query, kernel.query_stride = q_TNH.data_ptr(), token_stride
        kernel.key, kernel.value = key.data_ptr(), cache.value_BSHD.data_ptr()
        kernel.out = o_TNH.data_ptr()
        kernel.block_size = key.shape[1]
        kernel.block_stride, kernel.slot_stride, kernel.head_stride, _ = key.stride()
        kernel.window, kernel.chunk_size = layer.window or 0, layer.chunk_size or 0
        kernel.scale = layer.scale
        function(ctypes.byref(kernel), self._parallel)

    def _planned(self, cache: LayerCache, layer: LayerAttention) -> list[Chunk]:
        sight = layer.window, layer.chunk_size
        chunks = self._chunks.get(sight)
        if chunks is None:
            assert self._batch is not None, "prepare() comes first"
            chunks = plan_chunks(self._batch, cache.key_BSHD.shape[1], layer, self._dtype)
            self._chunks[sight] = chunks
        return chunks
