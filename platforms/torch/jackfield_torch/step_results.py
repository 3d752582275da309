"""The results of a step on the host, after the device has sent them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import StepPlan, StepResult, TokenLogprobs
from jackfield_torch.drafts import Correct, Corrections, DraftBatch
from jackfield_torch.logprobs import LogprobArrays
from jackfield_torch.pooler import VectorChunk
from jackfield_torch.replays import Draws
from jackfield_torch.sampler import Drawn
from jackfield_torch.staging import Slot
from jackfield_torch.step_batch import StepBatch


@dataclass(slots=True, kw_only=True)
class OpenStep:
    """A step whose forward pass was started and whose tokens are not drawn yet."""

    plan: StepPlan
    slot: Slot  # receives its results on the host
    batch: StepBatch | None = None  # None if no row computes
    logits_PV: Tensor | None = None  # None if no row draws
    # Recorded functions that draw from these logits.
    draws: Draws = field(default_factory=dict)
    prompt_logprobs: list[PromptChunk] = field(default_factory=list)
    vectors: list[VectorChunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PromptChunk:
    """Log probabilities of some prompt tokens of one row, on their way to the host."""

    place: int  # index of the row in the plan's rows
    num_top: int
    arrays: LogprobArrays


class StepResults:
    """Sends the results of a step to the host. When they have arrived, a call of this object returns the StepResult."""

    def __init__(self, step: OpenStep, drawn: Drawn | None, corrections: Corrections) -> None:
        self._plan = step.plan
        self._places: Sequence[int] = step.batch.places if step.batch else ()
        self._prompt_logprobs = step.prompt_logprobs
        self._vectors = step.vectors
        self._token_ids = step.slot.read(drawn.token_ids_P) if drawn else None
        self._num_logprobs = drawn.num_logprobs if drawn else ()
        self._logprobs = drawn.logprobs.read(step.slot) if drawn and drawn.logprobs else None
        self._confirmed: _Confirmed | None = None
        if drawn and drawn.counts_S is not None and step.batch and step.batch.drafts:
            drafts = step.batch.drafts[0]
            counts_S = step.slot.read(drawn.counts_S)
            self._confirmed = _Confirmed(drafts, counts_S, corrections.expect(drafts))

    def __call__(self) -> StepResult:
        result = StepResult(step_id=self._plan.step_id, token_ids=())
        if self._token_ids is not None:
            places = self._places
            token_ids = self._token_ids[: len(places)]
            if self._confirmed is not None:
                places, is_kept = self._confirmed.resolve(places)
                token_ids = self._token_ids[is_kept]
                result.counts = self._confirmed.counts_S.tolist()
            result.token_ids = token_ids.tolist()
            if (token_ids < 0).any():
                failed = np.flatnonzero(token_ids < 0).tolist()
                result.errors = {places[index]: _NO_TOKEN for index in failed}
                result.token_ids = token_ids.clip(min=0).tolist()
        if self._logprobs is not None:
            result.logprobs = self._entries(self._logprobs)
        if self._prompt_logprobs:
            result.prompt_logprobs = self._prompt_entries()
        if self._vectors:
            result.vectors, errors = _vectors_of(self._vectors)
            result.errors = {**result.errors, **errors}
        return result

    def _entries(self, logprobs: LogprobArrays) -> Mapping[int, Sequence[TokenLogprobs]]:
        found = logprobs.entries([max(0, number) for number in self._num_logprobs])
        places, is_kept = self._places, np.ones(len(found), bool)
        if self._confirmed is not None:
            is_kept = self._confirmed.is_kept()
            places = [places[index] for index in self._confirmed.drafts.row_P.tolist()]
        entries: dict[int, list[TokenLogprobs]] = {}
        for place, entry, number, kept in zip(
            places, found, self._num_logprobs, is_kept.tolist(), strict=True
        ):
            if number >= 0 and kept:
                entries.setdefault(place, []).append(entry)
        return entries

    def _prompt_entries(self) -> Mapping[int, Sequence[TokenLogprobs]]:
        entries: dict[int, list[TokenLogprobs]] = {}
        for chunk in self._prompt_logprobs:
            found = chunk.arrays.entries([chunk.num_top] * len(chunk.arrays.token_ids_P))
            entries.setdefault(chunk.place, []).extend(found)
        return entries


def _vectors_of(
    chunks: Sequence[VectorChunk],
) -> tuple[dict[int, array[float]], dict[int, str]]:
    """Vectors by place, and errors for vectors that are not finite."""
    vectors, failed = {}, {}
    for chunk in chunks:
        is_finite = np.isfinite(chunk.array_PE).all(axis=1).tolist()
        for place, row_E, is_good in zip(chunk.places, chunk.array_PE, is_finite, strict=True):
            if is_good:
                vectors[place] = array("f", row_E.tobytes())
            else:
                failed[place] = _NO_VECTOR
    return vectors, failed


@dataclass(slots=True)
class _Confirmed:
    """The confirmed parts of a step's drafts."""

    drafts: DraftBatch
    counts_S: NDArray[Any]  # valid when the slot has it
    correct: Correct

    def is_kept(self) -> NDArray[np.bool_]:
        """For each position: True if the token drawn there counts."""
        kept_P: NDArray[np.bool_] = self.drafts.offsets_P < self.counts_S[self.drafts.row_P]
        return kept_P

    def resolve(self, places: Sequence[int]) -> tuple[Sequence[int], NDArray[np.bool_]]:
        """Tell the rows how many tokens were wrong. Returns the places of the kept tokens, and which tokens are kept."""
        self.correct(self.drafts.lengths_S + 1 - self.counts_S)
        is_kept = self.is_kept()
        return [places[index] for index in self.drafts.row_P[is_kept].tolist()], is_kept


_NO_VECTOR = "the vector is not finite (NaN or infinite). Try model.dtype=float32"
_NO_TOKEN = (
    "no token can be drawn: the model's logits are not finite (NaN or infinite), or masks, logit_bias and min_tokens "
    "forbid every token. Try model.dtype=float32, or loosen what forbids tokens"
)
