"""From logits to tokens: edits, filters, and one draw for each row, which depends on the seed and length of the row alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jackfield.sampling import SamplingParams
from jackfield.step import NewRow
from numpy.typing import NDArray

from jackfield_acme_numpy.arrays import Floats, Ints

_FORBIDDEN = -np.inf


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """A row that draws a token: its request, what it has read and written so far, and a late mask."""

    request: NewRow
    prompt: Ints
    output: Ints
    mask: memoryview | None

    @property
    def uniform(self) -> float:
        """A number in [0, 1) for this place in the output: no batch and no restart changes it."""
        key = self.request.seed & (2**64 - 1)
        return np.random.Generator(np.random.Philox(key=key, counter=len(self.output))).random()


def draw_tokens(logits_SV: Floats, rows: Sequence[SamplingRow]) -> tuple[Ints, NDArray[np.bool_]]:
    """A token of each row, and whether there was one to draw. The logits are not changed."""
    edited_SV = logits_SV.copy()
    for logits_V, row in zip(edited_SV, rows, strict=True):
        _edit(logits_V, row)
    token_ids_S = edited_SV.argmax(-1)
    is_valid_S = np.isfinite(edited_SV.max(-1))
    is_random = [not row.request.sampling.is_greedy for row in rows]
    random_D = np.flatnonzero(is_valid_S & np.asarray(is_random, bool))
    if len(random_D):
        drawing = [rows[place] for place in random_D.tolist()]
        token_ids_S[random_D] = _draw_random(edited_SV[random_D], drawing)
    return token_ids_S, is_valid_S


def _edit(logits_V: Floats, row: SamplingRow) -> None:
    """Penalties, bias, tokens held back, and the mask of a grammar, in place."""
    params, vocab_size = row.request.sampling, len(logits_V)
    _penalise(logits_V, row, params)
    for token_id, bias in params.logit_bias.items():
        if token_id < vocab_size:
            logits_V[token_id] += bias
    if len(row.output) < params.min_tokens:
        ends = (*row.request.end_token_ids, *params.stop_token_ids)
        logits_V[[token_id for token_id in ends if token_id < vocab_size]] = _FORBIDDEN
    if row.mask is not None:
        bits = np.frombuffer(row.mask, np.uint8)
        allowed_V = np.unpackbits(bits, count=vocab_size, bitorder="little")
        logits_V[allowed_V == 0] = _FORBIDDEN


def _penalise(logits_V: Floats, row: SamplingRow, params: SamplingParams) -> None:
    """Keskar et al. 2019 (repetition, over prompt and output); presence and frequency, over the output."""
    if params.repetition_penalty != 1:
        seen = np.unique(np.concatenate((row.prompt, row.output)))
        factor, known = np.float32(params.repetition_penalty), logits_V[seen]
        logits_V[seen] = np.where(known > 0, known / factor, known * factor)
    if params.presence_penalty or params.frequency_penalty:
        drawn, counts = np.unique(row.output, return_counts=True)
        logits_V[drawn] -= params.presence_penalty + params.frequency_penalty * counts


def _draw_random(logits_DV: Floats, rows: Sequence[SamplingRow]) -> Ints:
    """The first token whose cumulative weight exceeds the row's number; the largest weight is 1."""
    params = [row.request.sampling for row in rows]
    temperatures_D1 = np.array([[one.temperature] for one in params])
    weights_DV = np.exp((logits_DV - logits_DV.max(-1, keepdims=True)) / temperatures_D1)
    weights_DV[weights_DV < _thresholds(weights_DV, params)] = 0
    ends_DV = np.cumsum(weights_DV, -1)
    target_D1 = np.array([[row.uniform] for row in rows]) * ends_DV[:, -1:]
    # Rounding can lift the target to the total, which lies behind the last token.
    target_D1 = np.minimum(target_D1, np.nextafter(ends_DV[:, -1:], 0))
    drawn_D: Ints = (ends_DV <= target_D1).sum(-1)
    return drawn_D


def _thresholds(
    weights_DV: NDArray[np.float64], params: Sequence[SamplingParams]
) -> NDArray[np.float64]:
    """The smallest weight of each row that min_p, top_k, and top_p of what top_k left, keep."""
    vocab_size = weights_DV.shape[-1]
    min_p_D1 = np.array([[one.min_p] for one in params])
    if all(one.top_k == 0 and one.top_p == 1 for one in params):
        return min_p_D1
    top_k_D1 = np.array([[min(one.top_k or vocab_size, vocab_size)] for one in params])
    top_p_D1 = np.array([[one.top_p] for one in params])
    falling_DV = np.sort(weights_DV, -1)[:, ::-1]
    falling_DV = np.where(np.arange(vocab_size) < top_k_D1, falling_DV, 0)
    ends_DV = np.cumsum(falling_DV, -1)
    kept_D1 = (ends_DV < top_p_D1 * ends_DV[:, -1:]).sum(-1, keepdims=True) + 1
    # Without top_p, all tokens that top_k left are kept, however the sum was rounded.
    kept_D1 = np.where(top_p_D1 < 1, np.minimum(kept_D1, top_k_D1), top_k_D1)
    least_D1 = np.take_along_axis(falling_DV, kept_D1 - 1, -1)
    thresholds_D1: NDArray[np.float64] = np.maximum(least_D1, min_p_D1)
    return thresholds_D1
