"""The plan of a step: which tokens attend together, what they read of the cache, and which of it they see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_torch.interfaces.attention import AttentionBatch, LayerAttention
from jackfield_torch_sdpa.reads import BlockRead, Buffers, Read, RowsRead, RunRead

# Rows with one query run together even if their lengths differ. The padding of such a bucket stays below a fixed
# number of slots (the cost of a separate call), and below a share of the slots that are needed.
_PADDING_SLOTS = 512
_PADDING_SHARE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """R rows of Q queries each that attend to W slots each, in one call of the kernel.

    A segment is either many rows with one query, padded to W, or one row with many queries.
    """

    tokens: slice | Tensor  # tokens of the step, row after row
    num_rows: int
    read: Read
    # The queries are all W tokens, so a lower triangle suffices and no mask is needed.
    is_causal: bool = False
    mask: Tensor | None = None  # [R, 1, W] or [1, Q, W], 0 or -inf, in the dtype of q


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """The facts about a group's cache that a plan needs."""

    num_blocks: int
    block_size: int
    num_kv_heads: int
    buffers: Buffers  # for gathered keys and values


@dataclass(frozen=True, slots=True)
class Span:
    """The part that one row reads: positions [first, length)."""

    row: int
    token: int  # index of its first query in the step
    num_queries: int
    first: int
    length: int

    @property
    def width(self) -> int:
        """Number of slots that it sees."""
        return self.length - self.first


def plan_segments(
    batch: AttentionBatch, cache: CacheFacts, layer: LayerAttention, dtype: torch.dtype
) -> list[Segment]:
    """The segments of a step, for layers with the same window and chunk size as this one."""
    spans = list(_spans(batch, layer))
    single = [span for span in spans if span.num_queries == 1]
    planner = _Planner(batch.block_ids_RB, cache, layer, dtype)
    return [
        *(planner.decode_segment(bucket) for bucket in make_buckets(single)),
        *(planner.row_segment(span) for span in spans if span.num_queries > 1),
    ]


def make_buckets(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Group spans of similar width, the widest first, so that padding is bounded."""
    bucket: list[Span] = []
    padding = used = 0
    for span in sorted(spans, key=lambda span: -span.width):
        more = bucket[0].width - span.width if bucket else 0
        if padding + more > _PADDING_SLOTS + used // _PADDING_SHARE:
            yield bucket
            bucket, padding, used, more = [], 0, 0, 0
        bucket.append(span)
        padding, used = padding + more, used + span.width
    if bucket:
        yield bucket


def _spans(batch: AttentionBatch, layer: LayerAttention) -> Iterator[Span]:
    token = 0
    for row, (num_queries, length) in enumerate(
        zip(batch.query_lengths, batch.lengths, strict=True)
    ):
        yield Span(row, token, num_queries, layer.first_seen(length - num_queries), length)
        token += num_queries


class _Planner:
    def __init__(
        self, table_RB: Tensor, cache: CacheFacts, layer: LayerAttention, dtype: torch.dtype
    ) -> None:
        self._table_RB = table_RB
        self._device = table_RB.device
        self._cache = cache
        self._layer = layer
        self._dtype = dtype

    def decode_segment(self, bucket: list[Span]) -> Segment:
        """A segment of rows with one query."""
        if len(bucket) == 1:
            (span,) = bucket
            tokens = slice(span.token, span.token + 1)
            return Segment(tokens=tokens, num_rows=1, read=self._read_row(span))
        size = self._cache.block_size
        ordered = sorted(bucket, key=lambda span: span.token)
        row_R1 = self._ints([span.row for span in ordered]).unsqueeze(1)
        first_R1 = self._ints([span.first for span in ordered]).unsqueeze(1)
        length_R1 = self._ints([span.length for span in ordered]).unsqueeze(1)
        start_R1, last_R1 = first_R1 // size, (length_R1 - 1) // size
        num_blocks = max(-(-span.length // size) - span.first // size for span in bucket)
        block_RB = start_R1 + torch.arange(num_blocks, device=self._device)
        # Rows with fewer blocks repeat one from their middle. Most of its slots are written, so little must be cleared.
        source_RB = block_RB.where(block_RB <= last_R1, (start_R1 + last_R1) // 2)
        is_hidden_RW = self._is_outside(block_RB, first_R1, length_R1)
        is_unwritten_RW = self._is_outside(source_RB, first_R1, length_R1)
        return Segment(
            tokens=self._tokens(ordered),
            num_rows=len(bucket),
            read=RowsRead(
                self._chunks(self._table_RB[row_R1, source_RB]),
                len(bucket),
                self._places(is_unwritten_RW),
                self._cache.buffers,
            ),
            mask=self._mask(is_hidden_RW.unsqueeze(1)),
        )

    def row_segment(self, span: Span) -> Segment:
        """A segment of one row with many queries."""
        tokens = slice(span.token, span.token + span.num_queries)
        read = self._read_row(span)
        sees_all = self._layer.first_seen(span.length - 1) == span.first
        if sees_all and span.num_queries == span.width:
            return Segment(tokens=tokens, num_rows=1, read=read, is_causal=True)
        query_Q1 = torch.arange(
            span.length - span.num_queries, span.length, device=self._device
        ).unsqueeze(1)
        key_W = torch.arange(span.first, span.length, device=self._device)
        hidden_QW = key_W > query_Q1
        behind_QW = self._layer.are_behind(query_Q1, key_W)
        if behind_QW is not None:
            hidden_QW |= behind_QW
        return Segment(
            tokens=tokens, num_rows=1, read=read, mask=self._mask(hidden_QW).unsqueeze(0)
        )

    def _read_row(self, span: Span) -> Read:
        size = self._cache.block_size
        blocks = self._table_RB[span.row, span.first // size : (span.length - 1) // size + 1]
        skip = span.first % size
        # On other devices, looking at the table would wait for the device.
        if self._device.type == "cpu":
            ids = blocks.numpy()
            if len(ids) == 1 or bool((ids[1:] - ids[:-1] == 1).all()):
                start = int(ids[0]) * size + skip
                return RunRead(start, start + span.width)
        return BlockRead(self._chunks(blocks.unsqueeze(0)), skip, span.width)

    def _chunks(self, blocks_RB: Tensor) -> Tensor:
        """For each row, kv head and block: the index of that block of that head in the cache."""
        head_K1 = torch.arange(self._cache.num_kv_heads, device=self._device).unsqueeze(1)
        return (head_K1 * self._cache.num_blocks + blocks_RB.long().unsqueeze(1)).flatten()

    def _is_outside(self, block_RB: Tensor, first_R1: Tensor, length_R1: Tensor) -> Tensor:
        """For each row and slot of these blocks, whether the row does not see it; bool [R, W]."""
        size = self._cache.block_size
        offset_S = torch.arange(size, device=self._device)
        position_RW = (block_RB.unsqueeze(2) * size + offset_S).flatten(1)
        return (position_RW < first_R1) | (position_RW >= length_R1)

    def _places(self, is_chosen_RW: Tensor) -> Tensor:
        """The indices of the chosen slots of all kv heads among R * heads * W."""
        shape = -1, self._cache.num_kv_heads, -1
        return is_chosen_RW.unsqueeze(1).expand(*shape).flatten().nonzero().squeeze(1)

    def _tokens(self, ordered: list[Span]) -> slice | Tensor:
        start, stop = ordered[0].token, ordered[-1].token + 1
        if stop - start == len(ordered):
            return slice(start, stop)
        return self._ints([span.token for span in ordered])

    def _mask(self, is_hidden: Tensor) -> Tensor:
        zeros = torch.zeros(is_hidden.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill_(is_hidden, float("-inf"))

    def _ints(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)
