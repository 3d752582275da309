"""The plan of a step: which tokens attend together, over which slots of the cache, and what they may see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_torch.interfaces.attention import AttentionBatch

# Rows of one query run together although their lengths differ. The padding of such a bucket stays below a fixed
# number of slots (what a call of its own would cost) and a share of the slots that are really read.
_PADDING_SLOTS = 512
_PADDING_SHARE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """R rows of Q queries each, attending to W slots each; one call of the kernel.

    Either many rows of one query, padded to W, or one row of many queries.
    """

    tokens: slice | Tensor  # of the step, row after row
    num_rows: int
    slots: slice | Tensor  # R * W slots; a slice where a single row's blocks lie one after another
    is_causal: bool  # the queries are all W tokens: a plain lower triangle, no mask needed
    mask: Tensor | None  # [R, 1, W] or [1, Q, W], 0 or -inf, in the dtype of q


def plan_segments(
    batch: AttentionBatch, block_size: int, window: int | None, dtype: torch.dtype
) -> list[Segment]:
    """The segments of a step, for layers that see `window` tokens."""
    spans = list(_spans(batch, window))
    single = [span for span in spans if span.num_queries == 1]
    planner = _Planner(batch, block_size, window, dtype)
    return [
        *(planner.decode_segment(bucket) for bucket in make_buckets(single)),
        *(planner.row_segment(span) for span in spans if span.num_queries > 1),
    ]


@dataclass(frozen=True, slots=True)
class Span:
    """What one row reads: positions [first, length)."""

    row: int
    token: int  # its first query, in the step
    num_queries: int
    first: int
    length: int

    @property
    def width(self) -> int:
        return self.length - self.first


def make_buckets(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Spans of similar width together, the widest first, so that padding is bounded."""
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


def _spans(batch: AttentionBatch, window: int | None) -> Iterator[Span]:
    token = 0
    for row, (num_queries, length) in enumerate(
        zip(batch.query_lengths, batch.lengths, strict=True)
    ):
        first = 0 if window is None else max(0, length - num_queries - window + 1)
        yield Span(row, token, num_queries, first, length)
        token += num_queries


class _Planner:
    def __init__(
        self, batch: AttentionBatch, block_size: int, window: int | None, dtype: torch.dtype
    ) -> None:
        self._table_RB = batch.block_ids_RB
        self._device = batch.block_ids_RB.device
        self._num_tokens = len(batch.slots_T)
        self._block_size = block_size
        self._window = window
        self._dtype = dtype

    def decode_segment(self, bucket: list[Span]) -> Segment:
        """Rows of one query. Padding repeats the row's last slot, which was written, and is masked."""
        if len(bucket) == 1:
            (span,) = bucket
            tokens = slice(span.token, span.token + 1)
            return self._segment(tokens, 1, self._slots_of(span), mask=None)
        width = bucket[0].width
        ordered = sorted(bucket, key=lambda span: span.token)
        row_R = self._ints([span.row for span in ordered])
        first_R1 = self._ints([span.first for span in ordered]).unsqueeze(1)
        last_R1 = self._ints([span.length - 1 for span in ordered]).unsqueeze(1)
        position_RW = first_R1 + torch.arange(width, device=self._device)
        slots_RW = self._slots(row_R.unsqueeze(1), torch.minimum(position_RW, last_R1))
        is_padded = bucket[-1].width < width
        mask = self._mask((position_RW > last_R1).unsqueeze(1)) if is_padded else None
        return self._segment(self._tokens(ordered), len(bucket), slots_RW.flatten(), mask=mask)

    def row_segment(self, span: Span) -> Segment:
        """One row of many queries."""
        tokens = slice(span.token, span.token + span.num_queries)
        sees_all = self._window is None or span.length <= self._window
        if sees_all and span.num_queries == span.length:
            return self._segment(tokens, 1, self._slots_of(span), is_causal=True)
        query_Q1 = torch.arange(
            span.length - span.num_queries, span.length, device=self._device
        ).unsqueeze(1)
        key_W = torch.arange(span.first, span.length, device=self._device)
        hidden_QW = key_W > query_Q1
        if self._window is not None:
            hidden_QW |= key_W <= query_Q1 - self._window
        return self._segment(
            tokens, 1, self._slots_of(span), mask=self._mask(hidden_QW).unsqueeze(0)
        )

    def _segment(
        self,
        tokens: slice | Tensor,
        num_rows: int,
        slots: slice | Tensor,
        *,
        mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Segment:
        return Segment(
            tokens=tokens, num_rows=num_rows, slots=slots, mask=mask, is_causal=is_causal
        )

    def _tokens(self, ordered: list[Span]) -> slice | Tensor:
        start, stop = ordered[0].token, ordered[-1].token + 1
        if stop - start == len(ordered):
            return slice(start, stop)
        return self._ints([span.token for span in ordered])

    def _slots_of(self, span: Span) -> slice | Tensor:
        """A slice where the row's blocks follow one another, so that the cache is read in place."""
        size = self._block_size
        if self._device.type == "cpu":  # elsewhere looking at the table would wait for the device
            blocks = self._table_RB[span.row].numpy()[
                span.first // size : (span.length - 1) // size + 1
            ]
            if len(blocks) == 1 or bool((blocks[1:] - blocks[:-1] == 1).all()):
                start = int(blocks[0]) * size + span.first % size
                return slice(start, start + span.width)
        position_W = torch.arange(span.first, span.length, device=self._device)
        return self._slots(self._ints([span.row]), position_W)

    def _slots(self, rows: Tensor, positions: Tensor) -> Tensor:
        blocks = self._table_RB[rows, positions // self._block_size].long()
        return blocks * self._block_size + positions % self._block_size

    def _mask(self, is_hidden: Tensor) -> Tensor:
        zeros = torch.zeros(is_hidden.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill_(is_hidden, float("-inf"))

    def _ints(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)
