"""Makes vectors from the hidden states of a step, for rows whose prompts are complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.pooling import LAST, MEAN, PoolingParams
from jackfield.step import NewRow, StepPlan
from jackfield_torch.layers.vectors import VectorHead
from jackfield_torch.rows import Ints
from jackfield_torch.staging import Slot, upload


@dataclass(frozen=True, slots=True)
class VectorChunk:
    """Vectors of some rows, on their way to the host."""

    places: Sequence[int]  # indices of the rows in the plan's rows
    array_PE: NDArray[Any]  # float32, valid when the slot has it


@dataclass(frozen=True, slots=True)
class _Span:
    """The tokens of one row in a step."""

    row: int
    start: int  # index of its first token in the step
    stop: int
    position: int  # position of its first token in the row

    @property
    def is_first(self) -> bool:
        """True if nothing of the row was computed before."""
        return self.position == 0

    @property
    def length(self) -> int:
        """Tokens of the row that are computed after this step."""
        return self.position + self.stop - self.start


class Pooler:
    """Knows which rows want a vector, and keeps intermediate results of prompts that take several steps."""

    def __init__(self, head: VectorHead, device: torch.device) -> None:
        self._head = head
        self._device = device
        self._params: dict[int, PoolingParams] = {}  # by row
        self._second_text: dict[int, int] = {}  # position by row
        # For a prompt that is partly computed: the sum over its tokens, or its first token; float32.
        self._parts: dict[int, Tensor] = {}

    @property
    def has_rows(self) -> bool:
        """True while a row wants a vector."""
        return bool(self._params)

    def enter(self, new: NewRow) -> None:
        """Start a request in its row."""
        self._parts.pop(new.row, None)
        if new.pooling is not None:
            self._params[new.row] = new.pooling
        if new.second_text is not None:
            self._second_text[new.row] = new.second_text

    def leave(self, row: int) -> None:
        """Forget a row."""
        for held in (self._params, self._second_text, self._parts):
            held.pop(row, None)

    def second_texts(self, plan: StepPlan, starts_R: Ints) -> Tensor | None:
        """1 for each token of the step that belongs to a second text, otherwise 0. None: there is no second text."""
        if self._second_text.keys().isdisjoint(plan.rows):
            return None
        parts = [
            np.arange(start, start + count) >= self._second_text.get(row, start + count)
            for row, start, count in zip(plan.rows, starts_R.tolist(), plan.num_tokens, strict=True)
        ]
        return upload(np.concatenate(parts).astype(np.float32), self._device)

    def pool(
        self, plan: StepPlan, starts_R: Ints, hidden_TE: Tensor, slot: Slot
    ) -> list[VectorChunk]:
        """The vectors of the rows that the plan marks as complete. For other rows, keep the intermediate results."""
        first_R = np.cumsum([0, *plan.num_tokens])
        spans = {
            place: _Span(row, int(first_R[place]), int(first_R[place + 1]), start)
            for place, (row, start) in enumerate(zip(plan.rows, starts_R.tolist(), strict=True))
            if row in self._params
        }
        complete = {*plan.pools}
        for place, span in spans.items():
            if place not in complete:
                self._keep(span, hidden_TE)
        groups: dict[PoolingParams, list[int]] = {}
        for place in plan.pools:
            groups.setdefault(self._params[plan.rows[place]], []).append(place)
        return [
            VectorChunk(
                places, slot.read(self._vectors(params, [spans[p] for p in places], hidden_TE))
            )
            for params, places in groups.items()
        ]

    def _keep(self, span: _Span, hidden_TE: Tensor) -> None:
        kind = self._params[span.row].kind
        if kind == MEAN:
            part = self._head.norm(hidden_TE[span.start : span.stop]).float().sum(0)
            kept = self._parts.get(span.row)
            self._parts[span.row] = part if kept is None else kept + part
        elif kind != LAST and span.is_first:
            self._parts[span.row] = self._head.norm(hidden_TE[span.start : span.start + 1])[
                0
            ].float()

    def _vectors(self, params: PoolingParams, spans: list[_Span], hidden_TE: Tensor) -> Tensor:
        if params.token_ids:
            return self._head.of_tokens(self._take(hidden_TE, [s.stop - 1 for s in spans]), params)
        if params.kind == MEAN:
            pooled_PE = self._means(spans, hidden_TE)
        elif params.kind == LAST:
            pooled_PE = self._normed(hidden_TE, [span.stop - 1 for span in spans])
        else:
            pooled_PE = self._normed(hidden_TE, [span.start for span in spans])
            for index, span in enumerate(spans):
                if not span.is_first:
                    pooled_PE[index] = self._parts[span.row]
        return self._head(pooled_PE, params)

    def _normed(self, hidden_TE: Tensor, tokens: Sequence[int]) -> Tensor:
        return self._head.norm(self._take(hidden_TE, tokens)).float()

    def _take(self, hidden_TE: Tensor, tokens: Sequence[int]) -> Tensor:
        return hidden_TE.index_select(0, upload(np.array(tokens, np.int64), self._device))

    def _means(self, spans: list[_Span], hidden_TE: Tensor) -> Tensor:
        counts = np.array([span.stop - span.start for span in spans], np.int64)
        tokens = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        if len(tokens) < len(hidden_TE):
            hidden_TE = self._take(hidden_TE, tokens.tolist())
        normed_TE = self._head.norm(hidden_TE).float()
        owners_T = upload(np.repeat(np.arange(len(spans)), counts), self._device)
        sum_PE = normed_TE.new_zeros((len(spans), normed_TE.shape[1]))
        sum_PE.index_add_(0, owners_T, normed_TE)
        lengths = counts.astype(np.float32)
        for index, span in enumerate(spans):
            if not span.is_first:
                sum_PE[index] += self._parts[span.row]
                lengths[index] = span.length
        return sum_PE / upload(lengths, self._device).unsqueeze(1)
