"""Repetition, presence and frequency penalties, with counts that each drawn token updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jackfield_torch.staging import upload

_FIRST_SLOTS = 4  # number of rows that have tables at first; more are made when rows need them


class TokenCounts:
    """The tokens that a row has seen. Only rows with a penalty are counted, each in a slot."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device
        self._slot_of_row: dict[int, int] = {}
        self._free: list[int] = []
        self._output_PV = torch.zeros(0, vocab_size, dtype=torch.int32, device=device)
        self._prompt_PV = torch.zeros(0, vocab_size, dtype=torch.bool, device=device)
        self._last: tuple[tuple[int, ...], Tensor] = (), self._upload(())

    def enter(self, row: int, token_ids: Sequence[int], num_prompt_tokens: int) -> None:
        """Count the tokens of a new row; the prompt comes first."""
        self.leave(row)
        if not self._free:
            self._grow()
        slot = self._slot_of_row[row] = self._free.pop()
        self._last = (), self._last[1]
        self._output_PV[slot].zero_()
        self._prompt_PV[slot].zero_()
        tokens = self._upload(token_ids)
        self._prompt_PV[slot].index_fill_(0, tokens[:num_prompt_tokens], True)
        output = tokens[num_prompt_tokens:]
        self._output_PV[slot].index_add_(0, output, torch.ones_like(output, dtype=torch.int32))

    def leave(self, row: int) -> None:
        """Forget a row, if it was counted."""
        slot = self._slot_of_row.pop(row, None)
        if slot is not None:
            self._free.append(slot)

    def of(self, rows: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """How often each token was drawn by these rows (int32), and whether it is in their prompts; [rows, V]."""
        slots = self._slots(rows)
        return self._output_PV.index_select(0, slots), self._prompt_PV.index_select(0, slots)

    def add(
        self, rows: tuple[int, ...], token_ids_P: Tensor, weights_P: Tensor | None = None
    ) -> None:
        """Count a drawn token for each of these rows. A negative id means token 0. `weights_P`: int32, 0 or 1."""
        flat_P = self._slots(rows) * self._vocab_size + token_ids_P.clamp(min=0)
        if weights_P is None:
            weights_P = torch.ones_like(flat_P, dtype=torch.int32)
        self._output_PV.view(-1).index_add_(0, flat_P, weights_P)

    def _slots(self, rows: tuple[int, ...]) -> Tensor:
        if self._last[0] != rows:
            self._last = rows, self._upload([self._slot_of_row[row] for row in rows])
        return self._last[1]

    def _upload(self, values: Sequence[int]) -> Tensor:
        return upload(np.array(values, np.int64), self._device)

    def _grow(self) -> None:
        old = len(self._output_PV)
        new = max(_FIRST_SLOTS, 2 * old)
        more = new - old
        self._output_PV = torch.cat(
            [self._output_PV, self._output_PV.new_zeros(more, self._vocab_size)]
        )
        self._prompt_PV = torch.cat(
            [self._prompt_PV, self._prompt_PV.new_zeros(more, self._vocab_size)]
        )
        self._free.extend(range(old, new))


def penalise(
    logits_PV: Tensor,
    counts_PV: Tensor,
    prompt_PV: Tensor,
    repetition_P1: Tensor,
    presence_P1: Tensor,
    frequency_P1: Tensor,
) -> Tensor:
    """Logits with the penalties applied.

    Repetition (Keskar et al. 2019) divides positive logits and multiplies negative ones, for tokens in prompt and output.
    Presence and frequency are subtracted, for tokens in the output.
    """
    in_output_PV = counts_PV > 0
    repeated_PV = torch.where(logits_PV > 0, logits_PV / repetition_P1, logits_PV * repetition_P1)
    result_PV = torch.where(prompt_PV | in_output_PV, repeated_PV, logits_PV)
    return result_PV - counts_PV * frequency_P1 - in_output_PV * presence_P1
