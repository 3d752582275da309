"""Drafts of a step: at which positions their rows draw, and how rows are corrected if guesses were wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jackfield.step import Draft
from jackfield_torch.inbox import Words
from jackfield_torch.interfaces.kernels import DraftTensors
from jackfield_torch.rows import Ints, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftBatch:
    """S rows that draw at P positions in all, on the host. A row without a draft draws at one position."""

    rows_S: Ints
    lengths_S: Ints  # length of each draft; 0: no draft
    starts_S: Ints  # see DraftTensors
    first_S: Ints
    row_P: Ints
    offsets_P: Ints
    guesses_P: Ints
    tokens_P: Ints  # indices of the positions among the tokens of the step

    @property
    def num_words(self) -> int:
        """Number of words that `write` takes."""
        return 4 * len(self.row_P) + 3 * len(self.rows_S)

    def write(self, words: Words) -> None:
        """Write the words that `read_drafts` reads on the device."""
        np.concatenate(
            (
                *(self.tokens_P, self.row_P, self.offsets_P, self.guesses_P),
                *(self.rows_S, self.first_S, self.starts_S),
            ),
            out=words,
            casting="unsafe",
        )


def lay_out_drafts(
    drafts: Sequence[Draft], rows_S: Ints, places_S: Ints, last_S: Ints
) -> DraftBatch:
    """Drafts of some of the rows that draw. `places_S`: indices in the plan; `last_S`: the rows' last tokens in the
    step.
    """
    lengths_S = np.zeros(len(rows_S), np.int64)
    starts_S = np.full(len(rows_S), -1, np.int64)
    index_of_draft = np.searchsorted(places_S, [draft.place for draft in drafts]).tolist()
    for index, draft in zip(index_of_draft, drafts, strict=True):
        lengths_S[index], starts_S[index] = len(draft.token_ids), draft.start
    ends_S = np.cumsum(lengths_S + 1)
    first_S = ends_S - lengths_S - 1
    row_P = np.repeat(np.arange(len(rows_S)), lengths_S + 1)
    offsets_P = np.arange(len(row_P)) - first_S[row_P]
    guesses_P = np.full(len(row_P), -1, np.int64)
    for index, draft in zip(index_of_draft, drafts, strict=True):
        guesses_P[first_S[index] : ends_S[index] - 1] = draft.token_ids
    return DraftBatch(
        rows_S=rows_S,
        lengths_S=lengths_S,
        starts_S=starts_S,
        first_S=first_S,
        row_P=row_P,
        offsets_P=offsets_P,
        guesses_P=guesses_P,
        tokens_P=(last_S - lengths_S)[row_P] + offsets_P,
    )


def read_drafts(words: Tensor, batch: DraftBatch) -> tuple[DraftTensors, Tensor]:
    """The drafts on the device, and the indices of the positions among the tokens of the step."""
    num_rows, num_positions = len(batch.rows_S), len(batch.row_P)
    sizes = [*[num_positions] * 4, *[num_rows] * 3]
    tokens_P, row_P, offsets_P, guesses_P, rows_S, first_S, starts_S = torch.split(
        words.long(), sizes
    )
    drafts = DraftTensors(
        rows_S=rows_S,
        first_S=first_S,
        starts_S=starts_S,
        row_P=row_P,
        offsets_P=offsets_P,
        guesses_P=guesses_P,
        most=int(batch.lengths_S.max()),
    )
    return drafts, tokens_P


def earlier_guesses(batch: DraftBatch, places: Ints) -> tuple[Ints, Ints]:
    """For each of these positions, all earlier guesses of its row: index in `places`, and the guess."""
    offsets = batch.offsets_P[places]
    where = np.repeat(np.arange(len(places)), offsets)
    before = np.arange(len(where)) - np.repeat(np.cumsum(offsets) - offsets, offsets)
    return where, batch.guesses_P[batch.first_S[batch.row_P[places]][where] + before]


# For some rows: how many tokens were counted but turned out wrong.
Correct = Callable[[Ints], None]


class Corrections:
    """Corrects what the host counted as confirmed, when it learns what was confirmed.

    Used by the thread that resolves steps and by the worker's own thread.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        # Rows, their requests, number of wrong tokens.
        self._found: deque[tuple[Ints, Ints, Ints]] = deque()

    def expect(self, batch: DraftBatch) -> Correct:
        """Count all drafts of a step as confirmed. Call the returned function when the true numbers are known."""
        rows_S = batch.rows_S
        self._rows.num_tokens_R[rows_S] += 1 + batch.lengths_S
        requests_S = self._rows.request_R[rows_S]

        def correct(too_many_S: Ints) -> None:
            self._found.append((rows_S, requests_S, too_many_S))

        return correct

    def apply(self) -> None:
        """Apply the corrections before the next plan. If another request has the row by now, nothing changes."""
        rows = self._rows
        while self._found:
            rows_S, requests_S, too_many_S = self._found.popleft()
            too_many_S = np.where(rows.request_R[rows_S] == requests_S, too_many_S, 0)
            rows.num_tokens_R[rows_S] -= too_many_S
            rows.num_computed_R[rows_S] -= too_many_S
