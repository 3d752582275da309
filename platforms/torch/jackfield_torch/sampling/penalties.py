"""Repetition, presence and frequency penalties, with counts that each drawn token updates."""

from __future__ import annotations

import torch
from torch import Tensor

_FIRST_SLOTS = 4  # tables for this many rows; more are made when rows need them


class TokenCounts:
    """Which tokens a row has seen. Kept only for rows that use a penalty, each in a slot."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device
        self._slot_of_row: dict[int, int] = {}
        self._free: list[int] = []
        self.output_PV = torch.zeros(0, vocab_size, dtype=torch.int32, device=device)
        self.prompt_PV = torch.zeros(0, vocab_size, dtype=torch.bool, device=device)

    def enter(self, row: int, token_ids: Tensor, num_prompt_tokens: int) -> None:
        """Count the tokens of a row that enters; `token_ids` on the device, prompt first."""
        if not self._free:
            self._grow()
        slot = self._slot_of_row[row] = self._free.pop()
        self.output_PV[slot].zero_()
        self.prompt_PV[slot].zero_()
        self.prompt_PV[slot, token_ids[:num_prompt_tokens].long()] = True
        output = token_ids[num_prompt_tokens:].long()
        self.output_PV[slot].index_add_(0, output, torch.ones_like(output, dtype=torch.int32))

    def leave(self, row: int) -> None:
        """Forget a row, if it was counted."""
        slot = self._slot_of_row.pop(row, None)
        if slot is not None:
            self._free.append(slot)

    def slot(self, row: int) -> int:
        """The slot of a row that was entered."""
        return self._slot_of_row[row]

    def add(self, slots_P: Tensor, token_ids_P: Tensor) -> None:
        """Count one drawn token for each of these slots."""
        self.output_PV.view(-1)[slots_P * self._vocab_size + token_ids_P] += 1

    def _grow(self) -> None:
        old = len(self.output_PV)
        new = max(_FIRST_SLOTS, 2 * old)
        more = new - old
        self.output_PV = torch.cat(
            [self.output_PV, self.output_PV.new_zeros(more, self._vocab_size)]
        )
        self.prompt_PV = torch.cat(
            [self.prompt_PV, self.prompt_PV.new_zeros(more, self._vocab_size)]
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
    """Logits with the penalties taken off. Repetition (Keskar et al. 2019) divides positive logits and multiplies
    negative ones, over prompt and output; presence and frequency subtract, over the output."""
    in_output_PV = counts_PV > 0
    repeated_PV = torch.where(logits_PV > 0, logits_PV / repetition_P1, logits_PV * repetition_P1)
    result_PV = torch.where(prompt_PV | in_output_PV, repeated_PV, logits_PV)
    return result_PV - counts_PV * frequency_P1 - in_output_PV * presence_P1
