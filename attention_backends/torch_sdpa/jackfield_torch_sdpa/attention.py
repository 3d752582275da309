"""Attention over the paged cache of one group: gather the slots of a segment, attend, and store the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.cache import CacheGroup
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch_sdpa.kernels import batched, fused, written_out
from jackfield_torch_sdpa.reads import Buffers
from jackfield_torch_sdpa.segments import CacheFacts, Segment, plan_segments
from jackfield_torch_sdpa.together import TogetherPlan

Sight = tuple[int | None, int | None]  # window, and size of chunks


class TorchSdpaAttention(GroupAttention):
    """Plans once a step. Then every layer of the group runs the same segments.

    Keys of grouped queries are never repeated in memory. For rows with one query, the heads of a group are treated as
    queries; for rows with many queries, the kv heads are the batch, and keys are expanded with stride 0. (SDPA's own
    `enable_gqa` is several times slower on the CPU.)
    """

    def __init__(self, group: CacheGroup, limits: AttentionLimits) -> None:
        self._group = group
        self._dtype = limits.dtype
        self._num_kv_heads = limits.num_kv_heads
        self._batch: AttentionBatch | None = None
        self._buffers = Buffers()
        self._is_host = limits.device.type == "cpu"
        self._segments: dict[Sight, list[Segment]] = {}
        self._together: TogetherPlan | None = None

    def prepare(self, batch: AttentionBatch) -> None:
        """Forget the last step. Segments are planned when a layer with their window first runs."""
        self._batch = batch
        self._segments.clear()
        self._together = None

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        segments = self._segments.get((layer.window, layer.chunk_size))
        if segments is None:
            segments = self._plan(cache, layer)
        keys_HBSD = cache.key_BSHD.permute(2, 0, 1, 3)
        values_HBSD = cache.value_BSHD.permute(2, 0, 1, 3)
        if len(segments) == 1:
            return self._attend(segments[0], q_TNH, keys_HBSD, values_HBSD, layer)
        shape = (*q_TNH.shape[:2], cache.value_BSHD.shape[-1])
        o_TNH = torch.empty(shape, dtype=q_TNH.dtype, device=q_TNH.device)
        for segment in segments:
            o_TNH[segment.tokens] = self._attend(
                segment, q_TNH[segment.tokens], keys_HBSD, values_HBSD, layer
            )
        return o_TNH

    def attend_together(
        self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention
    ) -> Tensor:
        """See GroupAttention."""
        if self._together is None:
            assert self._batch is not None, "prepare() comes first"
            self._together = TogetherPlan(
                self._batch.query_lengths, self._num_kv_heads, self._dtype, q_TNH.device
            )
        return self._together.attend(q_TNH, k_TKH, v_TKH, layer)

    def close(self) -> None:
        """Drop the last plan."""
        self._batch = None
        self._buffers = Buffers()
        self._segments.clear()

    def _plan(self, cache: LayerCache, layer: LayerAttention) -> list[Segment]:
        assert self._batch is not None, "prepare() comes first"
        num_blocks, block_size, num_kv_heads, _ = cache.key_BSHD.shape
        facts = CacheFacts(num_blocks, block_size, num_kv_heads, self._buffers)
        planned = plan_segments(self._batch, facts, layer, self._dtype)
        self._segments[layer.window, layer.chunk_size] = planned
        return planned

    def _attend(
        self, segment: Segment, q_TNH: Tensor, keys: Tensor, values: Tensor, layer: LayerAttention
    ) -> Tensor:
        """o_TNH of the segment's tokens."""
        num_tokens, num_heads, head_size = q_TNH.shape
        q_TKGH = q_TNH.view(num_tokens, self._num_kv_heads, -1, head_size)
        k_RKWH = segment.read(keys, q_TNH.dtype)
        is_part = layer.latent is not None
        v_RKWH = k_RKWH[..., : layer.latent] if is_part else segment.read(values, q_TNH.dtype)
        if num_tokens == segment.num_rows:
            # [rows, kv heads, group, head size] over [rows, kv heads, width, head size]
            o = self._run(q_TKGH, k_RKWH, v_RKWH, segment, layer, _sinks(layer, q_TKGH, 0))
            return o.reshape(num_tokens, num_heads, -1)
        # [kv heads, group, queries, head size] over [kv heads, group (stride 0), width, head size]
        group = q_TKGH.shape[2]
        k, v = (x[0].unsqueeze(1).expand(-1, group, -1, -1) for x in (k_RKWH, v_RKWH))
        sinks = _sinks(layer, q_TKGH, 2)
        o = self._run(q_TKGH.permute(1, 2, 0, 3), k, v, segment, layer, sinks)
        return o.permute(2, 0, 1, 3).reshape(num_tokens, num_heads, -1)

    def _run(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        segment: Segment,
        layer: LayerAttention,
        sinks: Tensor | None,
    ) -> Tensor:
        mask = segment.mask
        if mask is not None:  # torch's kernel is twice as fast with a mask of full height
            mask = mask.unsqueeze(1).expand(-1, 1, q.shape[2], -1)
        if layer.soft_cap is not None or sinks is not None:
            return written_out(
                q, k, v, mask, segment.is_causal, layer.scale, soft_cap=layer.soft_cap, sinks=sinks
            )
        if self._is_host and segment.num_rows > 1:
            return batched(q, k, v, segment.mask, layer.scale)
        return fused(q, k, v, mask, segment.is_causal, layer.scale)


def _sinks(layer: LayerAttention, q_TKGH: Tensor, axis: int) -> Tensor | None:
    """The sinks beside the scores: [1, K, G, 1] or [K, G, 1, 1], depending on the axis of tokens."""
    if layer.sinks_N is None:
        return None
    return layer.sinks_N.view(q_TKGH.shape[1:3]).unsqueeze(axis).unsqueeze(-1)
