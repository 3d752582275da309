"""Finds the tokens that would repeat an n-gram, for many rows at once, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jackfield_logits_processors.no_repeat_ngram import NgramArguments
from jackfield_torch.interfaces.logits_processor import ProcessorLimits
from jackfield_torch.interfaces.row_processor import ProcessedRows, RowProcessor


class NgramProcessor(RowProcessor):
    """Processes rows with equal arguments together."""

    def __init__(self, limits: ProcessorLimits) -> None:
        self._device = torch.device(limits.device)
        self._vocab_size = limits.vocab_size
        self._asked: dict[int, NgramArguments] = {}
        self._last: tuple[tuple[int, ...], list[tuple[NgramArguments, Tensor, Tensor]]] = (), []

    def enter(
        self, row: int, arguments: NgramArguments, token_ids: Sequence[int], num_prompt_tokens: int
    ) -> None:
        """Keep the arguments of the row. Its tokens are read in place."""
        self._asked[row] = arguments
        self._last = (), []

    def leave(self, row: int) -> None:
        """Forget the row."""
        del self._asked[row]
        self._last = (), []

    def apply(self, logits_MV: Tensor, rows: ProcessedRows) -> None:
        """Forbid the token after each earlier occurrence of the last size - 1 tokens."""
        tokens_ML = rows.tokens()
        for arguments, places_G, allowed_A in self._groups(rows.rows):
            logits_GV = logits_MV.index_select(0, places_G)
            kept_GA = logits_GV.index_select(1, allowed_A)
            forbid_repeats(
                logits_GV,
                tokens_ML.index_select(0, places_G),
                rows.num_tokens_M.index_select(0, places_G),
                arguments.size,
                arguments.window,
            )
            logits_GV.index_copy_(1, allowed_A, kept_GA)
            logits_MV.index_copy_(0, places_G, logits_GV)

    def _groups(self, rows: tuple[int, ...]) -> list[tuple[NgramArguments, Tensor, Tensor]]:
        """The indices of rows with equal arguments. They are kept while the rows stay the same."""
        if self._last[0] != rows:
            places: dict[NgramArguments, list[int]] = {}
            for place, row in enumerate(rows):
                places.setdefault(self._asked[row], []).append(place)
            groups = [
                (arguments, self._ids(found), self._ids(self._known(arguments.allowed)))
                for arguments, found in places.items()
            ]
            self._last = rows, groups
        return self._last[1]

    def _known(self, token_ids: Sequence[int]) -> list[int]:
        return [token_id for token_id in token_ids if token_id < self._vocab_size]

    def _ids(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def forbid_repeats(
    logits_GV: Tensor, tokens_GL: Tensor, num_tokens_G: Tensor, size: int, window: int
) -> None:
    """Set the logits of tokens that would complete an n-gram of `size` that the row already has to minus infinity, in
    place.

    int32 `tokens_GL`, of which the first `num_tokens_G` (int64) of each row count. `window`: see NgramArguments.
    """
    length = tokens_GL.shape[1]
    num_starts = length - size + 1
    if num_starts <= 0:
        return
    end_G1 = num_tokens_G.unsqueeze(1)
    start_S = torch.arange(num_starts, device=tokens_GL.device)
    is_repeat_GS = start_S + size <= end_G1  # the whole n-gram is in the row
    if window:
        is_repeat_GS &= start_S >= end_G1 - window
    for offset in range(size - 1):
        place_G1 = (end_G1 - (size - 1) + offset).clamp_(min=0)
        wanted_G1 = tokens_GL.gather(1, place_G1)
        is_repeat_GS &= tokens_GL[:, offset : offset + num_starts] == wanted_G1
    banned_GS = tokens_GL[:, size - 1 :].long().clamp_(0, logits_GV.shape[1] - 1)
    values_GS = torch.where(is_repeat_GS, float("-inf"), 0.0)
    logits_GV.scatter_add_(1, banned_GS, values_GS)
