"""Attention over the paged cache, for steps that mix prompts and single tokens.

The queries of a step are cut into tiles: as many consecutive queries of one row as the row has in this step, up to a
limit. Tiles of one length are computed together, whichever rows they belong to, so all decode rows are one batched product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jackfield.cache import group_of_layer
from jackfield.model_spec import Attention

from jackfield_acme_numpy.arrays import Floats, Ints
from jackfield_acme_numpy.cache import GroupCache
from jackfield_acme_numpy.rows import Batch, Rows

_MOST_QUERIES = 128  # queries of one tile
_MOST_SCORES = 1 << 20  # scores of one head at once; bounds the memory of a step


@dataclass(frozen=True, slots=True)
class Tiles:
    """P tiles of Q queries each, with the L keys that some query of a tile sees. Empty slots pad shorter tiles."""

    tokens_PQ: Ints
    slots_PL: Ints
    bias_PQL: Floats  # 0 where a query sees a key, else minus infinity


class PagedAttention:
    """Attends in all layers of a model. `begin` prepares a step, once for each cache group."""

    def __init__(self, caches: Sequence[GroupCache], rows: Rows) -> None:
        self.caches = caches
        self._groups = [cache.group for cache in caches]
        self._rows = rows
        self._slots: list[Ints] = []
        self._tiles: list[list[Tiles]] = []

    def begin(self, batch: Batch) -> None:
        """Find the slots of the tokens of this step, and the keys that each token sees."""
        self._slots = [
            self._rows.slots(group.index, batch.row_T, batch.positions_T) for group in self._groups
        ]
        self._tiles = [list(self._cut(batch, cache)) for cache in self.caches]

    def attend(
        self, layer: int, spec: Attention, q_TNH: Floats, k_TKH: Floats, v_TKH: Floats
    ) -> Floats:
        """Keep keys and values, then attend; returns o_TNH."""
        group = group_of_layer(self._groups, layer)
        cache = self.caches[group.index]
        cache.write(layer, self._slots[group.index], k_TKH, v_TKH)
        o_TNH = np.empty_like(q_TNH)
        for tiles in self._tiles[group.index]:
            k_PLKH, v_PLKH = cache.read(layer, tiles.slots_PL)
            q_PQNH = q_TNH[tiles.tokens_PQ]
            o_TNH[tiles.tokens_PQ] = _attend(spec, q_PQNH, k_PLKH, v_PLKH, tiles.bias_PQL)
        return o_TNH

    def _cut(self, batch: Batch, cache: GroupCache) -> Iterator[Tiles]:
        num_R = -(-batch.counts_R // _MOST_QUERIES)
        row_P = np.repeat(np.arange(len(num_R)), num_R)
        nth_P = np.arange(len(row_P)) - np.repeat(np.cumsum(num_R) - num_R, num_R)
        offset_P = nth_P * _MOST_QUERIES  # offset of the tile in its row, tokens
        size_P = np.minimum(batch.counts_R[row_P] - offset_P, _MOST_QUERIES)
        for size in np.unique(size_P):
            same_P = np.flatnonzero(size_P == size)
            longest = int((batch.starts_R + batch.counts_R)[row_P[same_P]].max())
            # A single query needs few scores, but as many keys as a long tile.
            at_once = max(1, _MOST_SCORES // (max(int(size), 16) * longest))
            for first in range(0, len(same_P), at_once):
                some_P = same_P[first : first + at_once]
                yield self._tile(batch, cache, row_P[some_P], offset_P[some_P], int(size))

    def _tile(
        self, batch: Batch, cache: GroupCache, row_P: Ints, offset_P: Ints, size: int
    ) -> Tiles:
        queries_PQ = offset_P[:, None] + np.arange(size)
        positions_PQ = batch.starts_R[row_P, None] + queries_PQ
        last_P1 = positions_PQ[:, -1:]
        window = cache.group.window or int(last_P1.max()) + 1
        first_P1 = np.maximum(positions_PQ[:, :1] - window + 1, 0)
        keys_PL = first_P1 + np.arange(int((last_P1 - first_P1).max()) + 1)
        slots_PL = self._rows.slots(
            cache.group.index, batch.rows_R[row_P, None], np.minimum(keys_PL, last_P1)
        )
        behind_PQL = positions_PQ[:, :, None] - keys_PL[:, None, :]
        sees_PQL = (behind_PQL >= 0) & (behind_PQL < window)
        return Tiles(
            batch.firsts_R[row_P, None] + queries_PQ,
            np.where(keys_PL <= last_P1, slots_PL, cache.empty_slot),
            np.where(sees_PQL, np.float32(0), np.float32(-np.inf)),
        )


def _attend(
    spec: Attention, q_PQNH: Floats, k_PLKH: Floats, v_PLKH: Floats, bias_PQL: Floats
) -> Floats:
    """Softmax attention in which the queries that share a key head are rows of one product."""
    num_tiles, num_queries, num_heads, size = q_PQNH.shape
    kv_heads, shared = spec.num_kv_heads, num_heads // spec.num_kv_heads
    grouped = (num_tiles, num_queries, kv_heads, shared, size)
    q = q_PQNH.reshape(grouped).transpose(0, 2, 3, 1, 4).reshape(num_tiles, kv_heads, -1, size)
    scores = (q @ k_PLKH.transpose(0, 2, 3, 1)) * np.float32(spec.scale)
    if spec.soft_cap:
        scores = np.tanh(scores / np.float32(spec.soft_cap)) * np.float32(spec.soft_cap)
    by_query = scores.reshape(num_tiles, kv_heads, shared, num_queries, -1)
    by_query += bias_PQL[:, None, None]
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    o = (scores @ v_PLKH.transpose(0, 2, 1, 3)) / scores.sum(-1, keepdims=True)
    o = o.reshape(num_tiles, kv_heads, shared, num_queries, size).transpose(0, 3, 1, 2, 4)
    o_PQNH: Floats = o.reshape(q_PQNH.shape)
    return o_PQNH
