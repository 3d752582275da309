"""Sampling parameters of all rows as arrays, and their selection for the rows that sample in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.sampling import SamplingParams
from jackfield.step import NewRow
from jackfield_torch.sampling.filters import Filters

Ints = NDArray[np.int64]
NO_LOGPROBS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PenaltyBatch:
    """The rows of a batch that use a penalty: P of S."""

    rows: tuple[int, ...]
    places_P: Tensor  # in the batch
    repetition_P1: Tensor
    presence_P1: Tensor
    frequency_P1: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomBatch:
    """The rows of a batch that draw: D of S."""

    places_D: Tensor | None  # in the batch; None: all
    seeds_D: NDArray[np.uint64]
    places: Ints  # in the batch, on the host
    inverse_temperature_D1: Tensor
    filters: Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingBatch:
    """What the sampler does with the S rows of a step. A part that no row uses is None, empty or 0."""

    random: RandomBatch | None
    penalties: PenaltyBatch | None
    bias: tuple[tuple[int, Tensor, Tensor], ...]  # place, token ids, values
    held_back: tuple[tuple[int, int, Tensor], ...]  # place, until so many outputs, token ids
    num_logprobs: tuple[int, ...]  # NO_LOGPROBS where none were asked for
    wants_logprobs: bool

    @property
    def edits_logits(self) -> bool:
        """True where logits are changed before a token is drawn."""
        return bool(self.penalties or self.bias or self.held_back or self.random)


class RowParams:
    """Parameters by row. A step that samples the same unchanged rows as the last one reuses its batch."""

    def __init__(self, max_rows: int, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device
        self._temperature_R = np.ones(max_rows, np.float64)
        self._top_k_R = np.full(max_rows, vocab_size, np.int64)
        self._top_p_R = np.ones(max_rows, np.float64)
        self._min_p_R = np.zeros(max_rows, np.float32)
        self._repetition_R = np.ones(max_rows, np.float32)
        self._presence_R = np.zeros(max_rows, np.float32)
        self._frequency_R = np.zeros(max_rows, np.float32)
        self._seed_R = np.zeros(max_rows, np.uint64)
        self._num_logprobs_R = np.full(max_rows, NO_LOGPROBS, np.int64)
        self._bias: dict[int, tuple[Tensor, Tensor]] = {}
        self._held_back: dict[int, tuple[int, Tensor]] = {}
        self._last: tuple[bytes, SamplingBatch] | None = None

    def enter(self, new: NewRow) -> None:
        """Take over the parameters of a request."""
        row, params = new.row, new.sampling
        self._last = None
        self._temperature_R[row] = params.temperature
        self._top_k_R[row] = min(params.top_k, self._vocab_size) or self._vocab_size
        self._top_p_R[row] = params.top_p
        self._min_p_R[row] = params.min_p
        self._repetition_R[row] = params.repetition_penalty
        self._presence_R[row] = params.presence_penalty
        self._frequency_R[row] = params.frequency_penalty
        self._seed_R[row] = new.seed & 0xFFFFFFFFFFFFFFFF
        self._num_logprobs_R[row] = NO_LOGPROBS if params.logprobs is None else params.logprobs
        self._enter_lists(row, params, new.end_token_ids)

    def uses_penalties(self, row: int) -> bool:
        """True where the tokens of the row must be counted."""
        return bool(self._repetition_R[row] != 1 or self._presence_R[row] or self._frequency_R[row])

    def batch(self, rows_S: Ints) -> SamplingBatch:
        """The parameters of these rows."""
        key = rows_S.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self._make_batch(rows_S)
        return self._last[1]

    def _enter_lists(self, row: int, params: SamplingParams, end_token_ids: Sequence[int]) -> None:
        self._bias.pop(row, None)
        self._held_back.pop(row, None)
        known = {t: bias for t, bias in params.logit_bias.items() if t < self._vocab_size}
        if known:
            values = torch.tensor(list(known.values()), dtype=torch.float32, device=self._device)
            self._bias[row] = self._ids(list(known)), values
        ends = [t for t in (*end_token_ids, *params.stop_token_ids) if t < self._vocab_size]
        if params.min_tokens and ends:
            self._held_back[row] = params.min_tokens, self._ids(ends)

    def _make_batch(self, rows_S: Ints) -> SamplingBatch:
        rows = rows_S.tolist()
        num_logprobs = self._num_logprobs_R[rows_S].tolist()
        return SamplingBatch(
            random=self._random(rows_S),
            penalties=self._penalties(rows_S),
            bias=tuple(
                (place, *self._bias[row]) for place, row in enumerate(rows) if row in self._bias
            ),
            held_back=tuple(
                (place, *self._held_back[row])
                for place, row in enumerate(rows)
                if row in self._held_back
            ),
            num_logprobs=tuple(num_logprobs),
            wants_logprobs=max(num_logprobs, default=NO_LOGPROBS) > NO_LOGPROBS,
        )

    def _random(self, rows_S: Ints) -> RandomBatch | None:
        places = np.flatnonzero(self._temperature_R[rows_S] > 0)
        if not len(places):
            return None
        rows_D = rows_S[places]
        inverse_D = (1.0 / self._temperature_R[rows_D]).clip(max=np.finfo(np.float32).max)
        return RandomBatch(
            places_D=None if len(places) == len(rows_S) else self._ids(places.tolist()),
            seeds_D=self._seed_R[rows_D],
            places=places,
            inverse_temperature_D1=self._floats(inverse_D.astype(np.float32)).unsqueeze(-1),
            filters=self._filters(rows_D),
        )

    def _filters(self, rows_D: Ints) -> Filters:
        top_k_D, top_p_D, min_p_D = (
            self._top_k_R[rows_D],
            self._top_p_R[rows_D],
            self._min_p_R[rows_D],
        )
        has_k_D = top_k_D < self._vocab_size
        ordered_D = has_k_D | (top_p_D < 1)
        return Filters(
            top_k_S=torch.from_numpy(top_k_D).to(self._device),
            top_p_S=torch.from_numpy(top_p_D).to(self._device),
            min_p_S=torch.from_numpy(min_p_D).to(self._device),
            is_active=bool(ordered_D.any() or (min_p_D > 0).any()),
            needs_order=bool(ordered_D.any()),
            most_k=int(top_k_D[ordered_D].max())
            if has_k_D[ordered_D].all() and has_k_D.any()
            else None,
        )

    def _penalties(self, rows_S: Ints) -> PenaltyBatch | None:
        places = [place for place, row in enumerate(rows_S.tolist()) if self.uses_penalties(row)]
        if not places:
            return None
        rows_P = rows_S[places]
        return PenaltyBatch(
            rows=tuple(rows_P.tolist()),
            places_P=self._ids(places),
            repetition_P1=self._floats(self._repetition_R[rows_P]).unsqueeze(-1),
            presence_P1=self._floats(self._presence_R[rows_P]).unsqueeze(-1),
            frequency_P1=self._floats(self._frequency_R[rows_P]).unsqueeze(-1),
        )

    def _ids(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)

    def _floats(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(self._device)
