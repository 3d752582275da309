"""The plan of a step: rows with equal numbers of queries attend together, in tiles of a bounded size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jackfield_torch.interfaces.attention import AttentionBatch
from torch import Tensor

MAX_QUERIES = 128  # largest number of queries of a tile, of all its rows


@dataclass(frozen=True, slots=True)
class Tile:
    """R rows with Q consecutive queries each."""

    tokens_RQ: Tensor  # int64; indices of the queries in the step
    positions_RQ: Tensor  # int64; positions of the queries in their rows
    blocks_RB: Tensor  # int64
    first: int  # the smallest position of a query
    stop: int  # the largest position of a query, plus one

    def is_hidden(self, key_W: Tensor, window: int | None) -> Tensor:
        """bool [R, Q, W], True if a query does not see the key at a position."""
        distance_RQW = self.positions_RQ.unsqueeze(-1) - key_W
        hidden_RQW = distance_RQW < 0
        if window is not None:
            hidden_RQW |= distance_RQW >= window
        return hidden_RQW


def plan_tiles(batch: AttentionBatch) -> Iterator[Tile]:
    """Put every query of the step into one tile. Decoding rows share tiles, and a prompt is cut into pieces."""
    device = batch.block_ids_RB.device
    blocks_RB = batch.block_ids_RB.long()
    starts = list(accumulate(batch.query_lengths, initial=0))
    first = [
        length - count for count, length in zip(batch.query_lengths, batch.lengths, strict=True)
    ]
    for count, rows in _rows_by_count(batch.query_lengths):
        for begin in range(0, count, MAX_QUERIES):
            query_Q = torch.arange(begin, min(begin + MAX_QUERIES, count), device=device)
            for part in _slices(rows, MAX_QUERIES // len(query_Q)):
                place_R2 = torch.tensor([(starts[row], first[row], row) for row in part])
                start_R, first_R, row_R = place_R2.to(device).unbind(1)
                yield Tile(
                    tokens_RQ=start_R.unsqueeze(1) + query_Q,
                    positions_RQ=first_R.unsqueeze(1) + query_Q,
                    blocks_RB=blocks_RB[row_R],
                    first=min(first[row] for row in part) + begin,
                    stop=max(first[row] for row in part) + begin + len(query_Q),
                )


def _rows_by_count(counts: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    rows = defaultdict(list)
    for row, count in enumerate(counts):
        rows[count].append(row)
    yield from rows.items()


def _slices(rows: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
