"""Attention over the paged cache, a span of blocks at a time.

R rows and Q queries of a tile, N query heads, K kv heads, H head size, B blocks, S slots of a block, W keys of a span;
G query heads read one kv head, and their queries stand in one axis M = G * Q.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from torch import Tensor

from jackfield_acme_attention.softmax import OnlineSoftmax
from jackfield_acme_attention.tiles import Tile, plan_tiles

MAX_SLOTS = 2048  # largest number of slots read at once, of all rows of a tile


class OnlineAttention(GroupAttention):
    """Keeps only the keys, values and scores of one span in memory, for any length of the rows."""

    def __init__(self, block_size: int, num_kv_heads: int) -> None:
        self._block_size = block_size
        self._num_kv_heads = num_kv_heads
        self._tiles: list[Tile] = []

    def prepare(self, batch: AttentionBatch) -> None:
        """Plan the step, once for all layers."""
        self._tiles = list(plan_tiles(batch))

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        o_TNH = q_TNH.new_empty(q_TNH.shape)
        for tile in self._tiles:
            o_RQNH = self._attend(tile, q_TNH[tile.tokens_RQ], cache, layer)
            o_TNH[tile.tokens_RQ] = o_RQNH.to(o_TNH.dtype)
        return o_TNH

    def close(self) -> None:
        """Drop the last plan."""
        self._tiles = []

    def _attend(
        self, tile: Tile, q_RQNH: Tensor, cache: LayerCache, layer: LayerAttention
    ) -> Tensor:
        """Attend in one tile; returns o_RQNH in float32."""
        num_rows, num_queries, _, head_size = q_RQNH.shape
        shape = num_rows, num_queries, self._num_kv_heads, -1, head_size
        q_RKGQH = q_RQNH.view(shape).permute(0, 2, 3, 1, 4).float() * layer.scale
        q_RKMH = q_RKGQH.flatten(2, 3)
        softmax = OnlineSoftmax(_sinks(layer, q_RKGQH).flatten(2, 3), head_size)
        for key_W, blocks_RB in self._spans(tile, layer.window):
            hidden_RQW = tile.is_hidden(key_W, layer.window)
            scores_RKMW = q_RKMH @ _read(cache.key_BSHD, blocks_RB).transpose(2, 3)
            if layer.soft_cap is not None:
                scores_RKMW = (scores_RKMW / layer.soft_cap).tanh_() * layer.soft_cap
            scores_RKGQW = scores_RKMW.view(*q_RKGQH.shape[:4], len(key_W))
            scores_RKGQW.masked_fill_(hidden_RQW[:, None, None], -torch.inf)
            # Slots that no query sees may hold NaN, and even NaN times zero is NaN.
            unseen_R1W1 = hidden_RQW.all(1)[:, None, :, None]
            v_RKWH = _read(cache.value_BSHD, blocks_RB).masked_fill_(unseen_R1W1, 0.0)
            softmax.add(scores_RKMW, v_RKWH)
        o_RKGQH = softmax.result().view_as(q_RKGQH)
        return o_RKGQH.permute(0, 3, 1, 2, 4).flatten(2, 3)

    def _spans(self, tile: Tile, window: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the tile sees, some blocks at a time: positions of their slots, and the blocks of each row."""
        first = 0 if window is None else max(0, tile.first - window + 1) // self._block_size
        stop = -(-tile.stop // self._block_size)
        step = max(1, MAX_SLOTS // (self._block_size * len(tile.blocks_RB)))
        for start in range(first, stop, step):
            blocks_RB = tile.blocks_RB[:, start : min(start + step, stop)]
            num_keys = blocks_RB.shape[1] * self._block_size
            yield (
                start * self._block_size + torch.arange(num_keys, device=blocks_RB.device),
                blocks_RB,
            )


def _read(cache_BSKH: Tensor, blocks_RB: Tensor) -> Tensor:
    """A float32 copy of the slots of some blocks, [R, K, W, H]."""
    return cache_BSKH[blocks_RB].flatten(1, 2).transpose(1, 2).to(torch.float32, copy=True)


def _sinks(layer: LayerAttention, q_RKGQH: Tensor) -> Tensor:
    """[R, K, G, Q, 1]; -inf in a layer without sinks."""
    shape = *q_RKGQH.shape[:4], 1
    if layer.sinks_N is None:
        return q_RKGQH.new_full(shape, -torch.inf)
    sinks_KG = layer.sinks_N.view(shape[1:3])
    return sinks_KG[:, :, None, None].expand(shape)
