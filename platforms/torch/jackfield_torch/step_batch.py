"""From a plan and the rows to the inputs of decoder, attention backends and sampler, in buffers that keep their
addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jackfield.step import StepPlan
from jackfield_torch.drafts import DraftBatch, lay_out_drafts, read_drafts
from jackfield_torch.inbox import Inbox, Words
from jackfield_torch.interfaces.attention import AttentionBatch
from jackfield_torch.interfaces.kernels import DraftTensors, Kernels, StepTensors
from jackfield_torch.rows import Ints, Rows

# Steps with prompts are padded to every fourth of the numbers of rows from 8 on, since all would be too many to record.
_LEAST_MIXED, _MIXED_STEP = 8, 4


@dataclass(slots=True, kw_only=True)
class StepBatch:
    """One step of R rows and T tokens, padding included. Tokens are drawn from the logits of P of the tokens."""

    token_ids_T: Tensor  # int32
    positions_T: Tensor  # int64
    batches: list[AttentionBatch]  # one for each cache group
    is_padded: bool  # padded to a size of the ladder, so that a graph can compute it
    # Rows and tokens of a step with prompts that was padded, so that a graph can compute it.
    shape: tuple[int, int] | None
    rows_R: Tensor  # int32, the worker's rows
    query_starts_R1: Tensor  # int32: row i has the tokens from [i] to [i + 1]
    rows_P: Tensor  # int32 or int64, the rows that draw
    # Int64, the places of these rows' tokens among the T; None: all T in order.
    tokens_P: Tensor | None
    drafts: tuple[DraftBatch, DraftTensors] | None  # host and device
    rows: Ints  # host, the rows of all P, without padding
    places: Sequence[int]  # host, places of the rows that draw among the plan's rows
    starts_R: Ints  # host, tokens of each row computed before this step
    longest: int  # host, most tokens of a row in this step

    def positions_of(self, places: Sequence[int]) -> list[int]:
        """Rows of logits, for places of their rows in the plan. A place that repeats means the next rows of logits."""
        drafts = self.drafts[0] if self.drafts else None
        index_of = {place: index for index, place in enumerate(self.places)}
        found: list[int] = []
        last = -1
        for place in places:
            if place == last:
                found.append(found[-1] + 1)
            else:
                index = index_of[place]
                found.append(int(drafts.first_S[index]) if drafts else index)
            last = place
        return found


class StepBuffers:
    """Device memory of a step, allocated once."""

    def __init__(self, rows: Rows, max_tokens: int, device: torch.device) -> None:
        num_rows, num_groups = len(rows.num_tokens_R), len(rows.tensors.block_ids)
        self._token_ids_T = torch.zeros(max_tokens, dtype=torch.int32, device=device)
        self._positions_T = torch.zeros(max_tokens, dtype=torch.int64, device=device)
        # Ones, so that a pass that only compiles kernels finds no row without a last token.
        self._lengths_R = torch.ones(num_rows, dtype=torch.int32, device=device)
        self._block_ids = [
            torch.zeros(num_rows * rows.max_blocks, dtype=torch.int32, device=device)
            for _ in range(num_groups)
        ]
        self._slots = [
            torch.zeros(max_tokens, dtype=torch.int64, device=device) for _ in range(num_groups)
        ]
        self._draws_2P = torch.zeros((2, num_rows), dtype=torch.int64, device=device)

    def view(self, words: Tensor, num_rows: int, num_tokens: int, num_blocks: int) -> StepTensors:
        """The part of the buffers that such a step takes. `words` are the step's own."""
        rows_R, counts_R, query_starts_R1 = torch.split(
            words[: 3 * num_rows + 1], [num_rows, num_rows, num_rows + 1]
        )
        return StepTensors(
            rows_R=rows_R,
            counts_R=counts_R,
            query_starts_R1=query_starts_R1,
            token_ids_T=self._token_ids_T[:num_tokens],
            positions_T=self._positions_T[:num_tokens],
            lengths_R=self._lengths_R[:num_rows],
            block_ids=tuple(
                ids[: num_rows * num_blocks].view(num_rows, num_blocks) for ids in self._block_ids
            ),
            slots=tuple(slots[:num_tokens] for slots in self._slots),
        )

    def draws(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """rows_P and tokens_P, which follow one another in `words`."""
        size = len(words) // 2
        places_2P = self._draws_2P.view(-1)[: 2 * size].view(2, size)
        places_2P.copy_(words.view(2, size))
        return places_2P[0], places_2P[1]


class BatchBuilder:
    """Builds the batch of one step after the other."""

    def __init__(
        self,
        rows: Rows,
        inbox: Inbox,
        kernels: Kernels,
        *,
        max_tokens: int,  # of a step
        # Steps of one token for each row are padded to these numbers of rows, rising.
        row_sizes: Sequence[int],
        # Other steps are padded to these numbers of tokens, rising.
        token_sizes: Sequence[int] = (),
        # Of these others only those; takes the tokens of each row in the step, and in all.
        is_worth_recording: Callable[[Ints, Ints], bool] = lambda counts_R, lengths_R: True,
        device: torch.device,
    ) -> None:
        self._rows, self._inbox, self._kernels = rows, inbox, kernels
        self._row_sizes, self._token_sizes = row_sizes, token_sizes
        self._is_worth_recording = is_worth_recording
        self._mixed_rows = [size for size in row_sizes if size >= _LEAST_MIXED][::_MIXED_STEP]
        self._last: tuple[tuple[int, int, int], StepTensors] | None = None
        self._buffers = StepBuffers(rows, max(max_tokens, *row_sizes, 1), device)

    def build(self, plan: StepPlan, *, pads_prompts: bool = True) -> StepBatch:
        """The batch of a plan whose diffs were applied. Counts the plan's tokens as computed.

        `pads_prompts`: no caller reads the hidden states of all tokens, so a step with prompts may be padded.
        """
        rows = self._rows
        rows_R = np.array(plan.rows, np.int64)
        counts_R = np.array(plan.num_tokens, np.int64)
        starts_R = rows.num_computed_R[rows_R]
        lengths_R = starts_R + counts_R
        most_R = rows.num_tokens_R[rows_R]
        for draft in plan.drafts:
            most_R[draft.place] += len(draft.token_ids)
        assert (lengths_R <= most_R).all(), "a row computes more than it has"
        rows.num_computed_R[rows_R] = lengths_R
        num_tokens = int(counts_R.sum())
        draws = None
        size = num_rows = len(rows_R)
        if num_tokens == num_rows and all(plan.samples):
            size = self._padded(num_rows)
            places: Sequence[int] = range(num_rows)
        else:
            draws = np.flatnonzero(plan.samples)
            places = draws.tolist()
        shape = None
        if draws is not None and pads_prompts and not plan.drafts:
            if self._is_worth_recording(counts_R, lengths_R):
                shape = self._padded_shape(num_rows, num_tokens)
            size = num_rows if shape is None else shape[0]
        lengths = lengths_R.tolist()
        num_blocks = -(-int(lengths_R.max()) // rows.block_size)
        drafts = None
        if plan.drafts and draws is not None:
            rows.set_drafts(plan, self._inbox)
            last_S = np.cumsum(counts_R)[draws] - 1
            drafts = lay_out_drafts(plan.drafts, rows_R[draws], draws, last_S)
        return self._send(
            rows_R,
            counts_R,
            lengths,
            draws,
            size,
            num_blocks,
            shape=shape,
            drafts=drafts,
            places=places,
            starts_R=starts_R,
        )

    def padding(self, num_rows: int) -> StepBatch:
        """A step of padding alone, with the shapes of any step that is padded to `num_rows` rows."""
        nothing = np.zeros(0, np.int64)
        return self._send(nothing, nothing, [], None, num_rows, 1, places=(), starts_R=nothing)

    def _padded(self, num_rows: int) -> int:
        index = bisect_left(self._row_sizes, num_rows)
        return num_rows if index == len(self._row_sizes) else self._row_sizes[index]

    def _padded_shape(self, num_rows: int, num_tokens: int) -> tuple[int, int] | None:
        """Rows and tokens with padding, at least one row of it; None if there is no such size."""
        row_index = bisect_left(self._mixed_rows, num_rows + 1)
        if row_index == len(self._mixed_rows):
            return None
        size = self._mixed_rows[row_index]
        index = bisect_left(self._token_sizes, num_tokens + size - num_rows)
        if index == len(self._token_sizes):
            return None
        tokens = self._token_sizes[index]
        fits = tokens - num_tokens < self._rows.width  # the spare row holds no more
        return (size, tokens) if fits else None

    def _send(
        self,
        rows_R: Ints,
        counts_R: Ints,
        lengths: list[int],
        draws: Ints | None,  # places of the rows that draw; None: all, of one token each
        size: int,  # rows, with padding
        num_blocks: int,  # of the longest row
        *,
        # Rows and tokens of a step with prompts that is padded.
        shape: tuple[int, int] | None = None,
        drafts: DraftBatch | None = None,
        places: Sequence[int],
        starts_R: Ints,
    ) -> StepBatch:
        num_padding = size - len(rows_R)
        num_draft_words = 0
        if drafts is not None:
            # Drafts come first, because the inbox flushes earlier updates if the drafts have no room.
            num_draft_words = drafts.num_words
            drafts.write(self._inbox.drafts(num_draft_words))
        words, num_words = self._inbox.step, 3 * size + 1
        _fill(words[:size], rows_R, self._rows.spare_row)
        padding = [1] * num_padding
        if shape is not None:  # the last row takes the rest of the tokens
            padding[-1] += shape[1] - int(counts_R.sum()) - num_padding
        _fill(words[size : 2 * size], counts_R, np.array(padding, np.int64))
        query_starts_R1 = words[2 * size : num_words]
        query_starts_R1[0] = 0
        np.cumsum(words[size : 2 * size], dtype=np.int32, out=query_starts_R1[1:])
        num_tokens = int(query_starts_R1[-1])
        if draws is not None and shape is not None:
            _fill(words[num_words : num_words + size], rows_R[draws], self._rows.spare_row)
            last_P = query_starts_R1[1:][draws] - 1
            _fill(words[num_words + size : num_words + 2 * size], last_P.astype(np.int64), 0)
            num_words += 2 * size
        elif draws is not None:
            num_drawing = len(draws)
            words[num_words : num_words + num_drawing] = rows_R[draws]
            words[num_words + num_drawing : num_words + 2 * num_drawing] = (
                query_starts_R1[1:][draws] - 1
            )
            num_words += 2 * num_drawing
        is_padded = size in self._row_sizes and draws is None
        # From here on the device owns the words.
        sent, sent_drafts = self._inbox.send(num_words, num_draft_words)
        step = self._views(
            sent, size, num_tokens, self._rows.max_blocks if is_padded or shape else num_blocks
        )
        self._kernels.prepare_step(self._rows.tensors, step)
        rows_P, tokens_P = step.rows_R, None
        if shape is not None:
            rows_P, tokens_P = self._buffers.draws(sent[3 * size + 1 :])
        elif draws is not None:
            rows_P, tokens_P = sent[3 * size + 1 :].long().view(2, -1).unbind()
        rows = rows_R if draws is None else rows_R[draws]
        both = None
        if drafts is not None:
            tensors, tokens_P = read_drafts(sent_drafts, drafts)
            rows_P, rows = rows_P.index_select(0, tensors.row_P), rows[drafts.row_P]
            both = drafts, tensors
        return StepBatch(
            token_ids_T=step.token_ids_T,
            positions_T=step.positions_T,
            batches=_attention_batches(step, counts_R.tolist() + padding, lengths + padding),
            is_padded=is_padded,
            shape=shape,
            rows_R=step.rows_R,
            query_starts_R1=step.query_starts_R1,
            rows_P=rows_P,
            tokens_P=tokens_P,
            drafts=both,
            rows=rows,
            places=places,
            starts_R=starts_R,
            longest=max(lengths, default=1),
        )

    def _views(self, words: Tensor, num_rows: int, num_tokens: int, num_blocks: int) -> StepTensors:
        """The buffers of such a step: the last ones if the shapes are the same."""
        key = num_rows, num_tokens, num_blocks
        if self._last is None or self._last[0] != key:
            self._last = key, self._buffers.view(words, *key)
        return self._last[1]


def _fill(target: Words, values: Ints, padding: int | Ints) -> None:
    target[: len(values)] = values
    target[len(values) :] = padding


def _attention_batches(
    step: StepTensors, counts: list[int], lengths: list[int]
) -> list[AttentionBatch]:
    return [
        AttentionBatch(
            query_lengths=counts,
            lengths=lengths,
            query_starts_R1=step.query_starts_R1,
            lengths_R=step.lengths_R,
            block_ids_RB=block_ids_RB,
            slots_T=slots_T,
        )
        for block_ids_RB, slots_T in zip(step.block_ids, step.slots, strict=True)
    ]
