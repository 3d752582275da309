"""The sampling parameters of rows on the host, and the batch that follows from them for the rows of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.sampling import SamplingParams
from jackfield.step import NewRow
from jackfield_torch.interfaces.kernels import DrawFacts
from jackfield_torch.sampling.bad_words import BadWordBatch, lay_out_bad_words
from jackfield_torch.sampling.bit_masks import MaskTensors, pack_mask, upload_masks
from jackfield_torch.staging import upload

Ints = NDArray[np.int64]
NO_LOGPROBS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PenaltyBatch:
    """The P rows of logits that penalties change."""

    rows: tuple[int, ...]
    places: Ints  # indices of rows of logits
    places_P: Tensor  # the same on the device


@dataclass(frozen=True, slots=True, kw_only=True)
class EditBatch:
    """E single logits that change: biases, and end tokens that must not be drawn yet."""

    places_E: Tensor  # int64, indices of rows of logits
    token_ids_E: Tensor  # int64
    values_E: Tensor  # float32, added
    until_E: Tensor  # int64; applies while the row has drawn fewer tokens than this


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingBatch:
    """What the sampler does for the rows of a step. A part that no row uses is None or empty."""

    facts: DrawFacts
    penalties: PenaltyBatch | None
    edits: EditBatch | None
    bad_words: BadWordBatch | None  # words of several tokens
    allowed: MaskTensors | None  # for rows that draw from a list
    num_logprobs: tuple[int, ...]  # NO_LOGPROBS for rows that want none
    wants_logprobs: bool

    @property
    def edits_logits(self) -> bool:
        """True if some row changes logits."""
        return bool(self.penalties or self.edits or self.bad_words or self.allowed)

    @property
    def is_plain(self) -> bool:
        """True if tokens are drawn from unchanged logits, and no row wants log probabilities."""
        return not (self.edits_logits or self.wants_logprobs)


class RowParams:
    """Parameters by row. If a step draws for the same unchanged rows as the last one, it reuses the batch."""

    def __init__(self, max_rows: int, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device
        self._is_random_R = np.zeros(max_rows, bool)
        self._top_k_R = np.full(max_rows, vocab_size, np.int64)
        self._has_order_R = np.zeros(max_rows, bool)
        self._has_min_p_R = np.zeros(max_rows, bool)
        self._has_penalty_R = np.zeros(max_rows, bool)
        self._num_logprobs_R = np.full(max_rows, NO_LOGPROBS, np.int64)
        # Token id, value, number of tokens up to which it applies.
        self._edits: dict[int, list[tuple[int, float, int]]] = {}
        self._bad_words: dict[int, list[tuple[int, ...]]] = {}  # words of several tokens
        self._allowed: dict[int, bytes] = {}  # a packed mask
        self._last: tuple[bytes, SamplingBatch] | None = None

    def enter(self, new: NewRow) -> None:
        """Take over the parameters of a request."""
        row, params, vocab_size = new.row, new.sampling, self._vocab_size
        self._last = None
        self._is_random_R[row] = params.temperature > 0
        self._top_k_R[row] = min(params.top_k, vocab_size) or vocab_size
        self._has_order_R[row] = self._top_k_R[row] < vocab_size or params.top_p < 1
        self._has_min_p_R[row] = params.min_p > 0
        self._has_penalty_R[row] = (
            params.repetition_penalty != 1
            or params.presence_penalty != 0
            or params.frequency_penalty != 0
        )
        self._num_logprobs_R[row] = NO_LOGPROBS if params.logprobs is None else params.logprobs
        self._edits.pop(row, None)
        if edits := _edits(params, new.end_token_ids, vocab_size):
            self._edits[row] = edits
        self._bad_words.pop(row, None)
        if words := [word for word in token_words(params) if len(word) > 1]:
            self._bad_words[row] = words
        self._allowed.pop(row, None)
        if params.allowed_token_ids is not None:
            self._allowed[row] = pack_mask(params.allowed_token_ids, vocab_size)

    def uses_penalties(self, row: int) -> bool:
        """True if the tokens of the row must be counted."""
        return bool(self._has_penalty_R[row])

    def batch(self, rows: Ints) -> SamplingBatch:
        """The parameters of these rows."""
        key = rows.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self._make_batch(rows)
        return self._last[1]

    def _make_batch(self, rows: Ints) -> SamplingBatch:
        num_logprobs = tuple(self._num_logprobs_R[rows].tolist())
        return SamplingBatch(
            facts=self._facts(rows),
            penalties=self._penalties(rows),
            edits=self._edit_batch(rows),
            bad_words=self._bad_word_batch(rows),
            allowed=self._allowed_batch(rows),
            num_logprobs=num_logprobs,
            wants_logprobs=max(num_logprobs, default=NO_LOGPROBS) > NO_LOGPROBS,
        )

    def _facts(self, rows: Ints) -> DrawFacts:
        rows = rows[self._is_random_R[rows]]
        top_k = self._top_k_R[rows[self._has_order_R[rows]]]
        has_k = len(top_k) > 0 and bool((top_k < self._vocab_size).all())
        return DrawFacts(
            is_random=len(rows) > 0,
            has_filters=len(top_k) > 0 or bool(self._has_min_p_R[rows].any()),
            needs_order=len(top_k) > 0,
            most_k=int(top_k.max()) if has_k else None,
        )

    def _penalties(self, rows: Ints) -> PenaltyBatch | None:
        places = np.flatnonzero(self._has_penalty_R[rows])
        if not len(places):
            return None
        return PenaltyBatch(
            rows=tuple(rows[places].tolist()), places=places, places_P=upload(places, self._device)
        )

    def _edit_batch(self, rows: Ints) -> EditBatch | None:
        found = [
            (place, *edit)
            for place, row in enumerate(rows.tolist())
            for edit in self._edits.get(row, ())
        ]
        if not found:
            return None
        places, token_ids, values, until = zip(*found, strict=True)
        return EditBatch(
            places_E=upload(np.array(places, np.int64), self._device),
            token_ids_E=upload(np.array(token_ids, np.int64), self._device),
            values_E=upload(np.array(values, np.float32), self._device),
            until_E=upload(np.array(until, np.int64), self._device),
        )

    def _bad_word_batch(self, rows: Ints) -> BadWordBatch | None:
        places = enumerate(rows.tolist())
        words = [(place, word) for place, row in places for word in self._bad_words.get(row, ())]
        return lay_out_bad_words(words, self._device) if words else None

    def _allowed_batch(self, rows: Ints) -> MaskTensors | None:
        places = [place for place, row in enumerate(rows.tolist()) if row in self._allowed]
        if not places:
            return None
        bits = b"".join(self._allowed[row] for row in rows[places].tolist())
        return upload_masks(places, bits, self._device)


_ALWAYS = 1 << 62


def token_words(params: SamplingParams) -> list[tuple[int, ...]]:
    """The bad words of a request, which are token ids in a worker."""
    return [word for word in params.bad_words if not isinstance(word, str)]


def _edits(
    params: SamplingParams, end_token_ids: Sequence[int], vocab_size: int
) -> list[tuple[int, float, int]]:
    edits = [(token, bias, _ALWAYS) for token, bias in params.logit_bias.items()]
    edits += [(word[0], float("-inf"), _ALWAYS) for word in token_words(params) if len(word) == 1]
    if params.min_tokens:
        ends = {*end_token_ids, *params.stop_token_ids}
        edits += [(token, float("-inf"), params.min_tokens) for token in ends]
    return [edit for edit in edits if edit[0] < vocab_size]
