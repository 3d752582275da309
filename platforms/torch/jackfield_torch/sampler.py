"""From logits to tokens: edits, filters, one draw a row, and what was asked for beside the token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import NewRow
from jackfield_torch.logprobs import LogprobBatch, compute_logprobs
from jackfield_torch.sampling.argmax import argmax
from jackfield_torch.sampling.bit_masks import forbid, forbid_unset
from jackfield_torch.sampling.draw import draw
from jackfield_torch.sampling.penalties import TokenCounts, penalise
from jackfield_torch.sampling.random_numbers import uniform
from jackfield_torch.sampling.row_params import PenaltyBatch, RandomBatch, RowParams, SamplingBatch

Ints = NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Drawn:
    """What S rows drew, on the device."""

    token_ids_S: Tensor  # int64; arbitrary where the row failed
    is_valid_S: Tensor  # False: no finite logit to choose from
    logprobs: LogprobBatch | None  # of all S rows, if any asked for them
    num_logprobs: tuple[int, ...]  # of each row; negative where none


class Sampler:
    """Holds the sampling state of all rows.

    Every request's random numbers are a function of its seed and of how many tokens it has drawn, so its tokens do
    not depend on what runs beside it, on preemption, or on how its prompt was cut.
    """

    def __init__(self, max_rows: int, vocab_size: int, device: torch.device) -> None:
        self.vocab_size = vocab_size
        self._params = RowParams(max_rows, vocab_size, device)
        self._counts = TokenCounts(vocab_size, device)
        self._device = device

    def enter(self, new: NewRow, token_ids: Tensor) -> None:
        """Take over a request; `token_ids` on the device."""
        self._params.enter(new)
        if self._params.uses_penalties(new.row):
            self._counts.enter(new.row, token_ids, new.num_prompt_tokens)

    def leave(self, row: int) -> None:
        """Forget a row."""
        self._counts.leave(row)

    def sample(
        self, logits_SV: Tensor, rows_S: Ints, num_outputs_S: Ints, masks: Mapping[int, memoryview]
    ) -> Drawn:
        """Draw one token for each of these rows, and count it.

        `logits_SV` is float32 and may be overwritten. `num_outputs_S`: tokens drawn before. `masks`: by place in S.
        """
        batch = self._params.batch(rows_S)
        # Log probabilities are those of the model, before anything is edited.
        given_SV = logits_SV.clone() if batch.wants_logprobs and batch.edits_logits else logits_SV
        penalised = self._edit(logits_SV, batch, num_outputs_S, masks)
        token_ids_S, peak_S = argmax(logits_SV)
        is_valid_S = peak_S.isfinite()
        if batch.random is not None:
            _draw_random(logits_SV, peak_S, token_ids_S, batch.random, num_outputs_S)
        if penalised is not None and batch.penalties is not None:
            self._counts.add(penalised, token_ids_S[batch.penalties.places_P])
        return Drawn(
            token_ids_S=token_ids_S,
            is_valid_S=is_valid_S,
            logprobs=compute_logprobs(given_SV, token_ids_S, max(batch.num_logprobs))
            if batch.wants_logprobs
            else None,
            num_logprobs=batch.num_logprobs,
        )

    def _edit(
        self,
        logits_SV: Tensor,
        batch: SamplingBatch,
        num_outputs_S: Ints,
        masks: Mapping[int, memoryview],
    ) -> Tensor | None:
        """Change the logits as the rows ask; the slots of the rows with penalties, if there are any."""
        slots = self._penalise(logits_SV, batch.penalties) if batch.penalties else None
        for place, token_ids, values in batch.bias:
            logits_SV[place].index_add_(0, token_ids, values)
        for place, until, token_ids in batch.held_back:
            if num_outputs_S[place] < until:
                forbid(logits_SV[place], token_ids)
        for place, mask in masks.items():
            forbid_unset(logits_SV[place], mask)
        return slots

    def _penalise(self, logits_SV: Tensor, batch: PenaltyBatch) -> Tensor:
        slots_P = torch.tensor([self._counts.slot(row) for row in batch.rows], device=self._device)
        logits_SV[batch.places_P] = penalise(
            logits_SV[batch.places_P],
            self._counts.output_PV[slots_P],
            self._counts.prompt_PV[slots_P],
            batch.repetition_P1,
            batch.presence_P1,
            batch.frequency_P1,
        )
        return slots_P


def _draw_random(
    logits_SV: Tensor, peak_S: Tensor, token_ids_S: Tensor, batch: RandomBatch, num_outputs_S: Ints
) -> None:
    """Replace the most likely tokens of the rows that draw by drawn ones, in place."""
    places = batch.places_D
    weights_DV = logits_SV if places is None else logits_SV[places]
    peak_D = peak_S if places is None else peak_S[places]
    # The largest weight is 1, so nothing overflows, and min_p compares with the weight itself. A row without a
    # finite peak fails anyway; nan_to_num only keeps it from disturbing the search.
    weights_DV.sub_(peak_D.unsqueeze(-1)).mul_(batch.inverse_temperature_D1).exp_()
    if not bool(peak_D.isfinite().all()):
        weights_DV.nan_to_num_(1.0, 1.0, 1.0)
    uniform_D = uniform(batch.seeds_D, num_outputs_S[batch.places])
    drawn_D = draw(
        batch.filters.apply(weights_DV), torch.from_numpy(uniform_D).to(weights_DV.device)
    )
    if places is None:
        token_ids_S.copy_(drawn_D)
    else:
        token_ids_S[places] = drawn_D
