"""Attention over the paged cache of one group: gather what a segment sees, attend, put the outputs in place."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.cache import CacheGroup
from jackfield_torch.interfaces.attention import (
    Attention,
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch_sdpa.kernels import capped, fused
from jackfield_torch_sdpa.segments import Segment, plan_segments


class TorchSdpaAttention(Attention):
    """Plans once a step; every layer of the group then runs the same segments.

    Grouped queries never repeat keys in memory: for rows of one query the group's heads stand where queries stand,
    for rows of many the kv heads are the batch and the keys are expanded with stride 0. (SDPA's own `enable_gqa` is
    several times slower on CPU.)
    """

    def __init__(self, group: CacheGroup, limits: AttentionLimits) -> None:
        self._group = group
        self._dtype = limits.dtype
        self._num_kv_heads = limits.num_kv_heads
        self._batch: AttentionBatch | None = None
        self._block_size = 0
        self._segments: dict[int | None, list[Segment]] = {}  # by window

    def prepare(self, batch: AttentionBatch) -> None:
        """Forget the last step; a window's segments are planned when its first layer runs."""
        self._batch = batch
        self._segments.clear()

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """As the interface says."""
        segments = self._segments.get(layer.window)
        if segments is None:
            segments = self._plan(cache.key_BSHD.shape[1], layer.window)
        keys, values = cache.key_BSHD.flatten(0, 1), cache.value_BSHD.flatten(0, 1)
        if len(segments) == 1:
            return self._attend(segments[0], q_TNH, keys, values, layer)
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device)
        for segment in segments:
            o_TNH[segment.tokens] = self._attend(
                segment, q_TNH[segment.tokens], keys, values, layer
            )
        return o_TNH

    def close(self) -> None:
        """Drop the last plan."""
        self._batch = None
        self._segments.clear()

    def _plan(self, block_size: int, window: int | None) -> list[Segment]:
        assert self._batch is not None, "prepare() comes first"
        planned = plan_segments(self._batch, block_size, window, self._dtype)
        self._segments[window] = planned
        return planned

    def _attend(
        self, segment: Segment, q_TNH: Tensor, keys: Tensor, values: Tensor, layer: LayerAttention
    ) -> Tensor:
        """o_TNH of the segment's tokens."""
        num_tokens, num_heads, head_size = q_TNH.shape
        q_TKGH = q_TNH.view(num_tokens, self._num_kv_heads, -1, head_size)
        k = _read(keys, segment, q_TNH.dtype)
        v = _read(values, segment, q_TNH.dtype)
        if num_tokens == segment.num_rows:
            # [rows, kv heads, group, head size] over [rows, kv heads, width, head size]
            o = _run(q_TKGH, k.transpose(1, 2), v.transpose(1, 2), segment, layer)
            return o.reshape(num_tokens, num_heads, head_size)
        # [kv heads, group, queries, head size] over [kv heads, group (stride 0), width, head size]
        group = q_TKGH.shape[2]
        k = k[0].transpose(0, 1).unsqueeze(1).expand(-1, group, -1, -1)
        v = v[0].transpose(0, 1).unsqueeze(1).expand(-1, group, -1, -1)
        o = _run(q_TKGH.permute(1, 2, 0, 3), k, v, segment, layer)
        return o.permute(2, 0, 1, 3).reshape(num_tokens, num_heads, head_size)


def _read(cache: Tensor, segment: Segment, dtype: torch.dtype) -> Tensor:
    """Keys or values of a segment, [rows, width, kv heads, head size]; a view where the slots are a slice."""
    slots = segment.slots
    found = cache[slots] if isinstance(slots, slice) else cache.index_select(0, slots)
    return found.to(dtype).view(segment.num_rows, -1, *cache.shape[1:])


def _run(q: Tensor, k: Tensor, v: Tensor, segment: Segment, layer: LayerAttention) -> Tensor:
    mask = segment.mask
    if mask is not None:  # torch's kernel is twice as fast with a mask of full height
        mask = mask.unsqueeze(1).expand(-1, 1, q.shape[2], -1)
    if layer.soft_cap is not None:
        return capped(q, k, v, mask, segment.is_causal, layer.scale, layer.soft_cap)
    return fused(q, k, v, mask, segment.is_causal, layer.scale)
