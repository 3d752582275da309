"""One step: rows change as the plan says, the decoder runs, the sampler draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jackfield.step import LateInputs, StepPlan, StepResult, TokenLogprobs

from jackfield_acme_numpy.arrays import Floats
from jackfield_acme_numpy.attention import PagedAttention
from jackfield_acme_numpy.decoder import Decoder
from jackfield_acme_numpy.logprobs import token_logprobs
from jackfield_acme_numpy.rows import Batch, Rows
from jackfield_acme_numpy.sampler import SamplingRow, draw_tokens

_PROMPT_TOKENS = 256  # tokens with logits in memory at once, for prompt_logprobs
_NO_TOKEN = (
    "no token can be drawn: the model's logits are not finite, or masks, logit_bias and min_tokens forbid every token. "
    "Check the checkpoint, or loosen what forbids tokens"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStep:
    """A step whose forward pass ran and whose tokens are not drawn yet."""

    plan: StepPlan
    batch: Batch
    logits_SV: Floats
    prompt_logprobs: dict[int, list[TokenLogprobs]] = field(default_factory=dict)


class Runner:
    """A model with its rows and its cache. A number that is not finite is an error of its row, never a warning."""

    def __init__(self, decoder: Decoder, attention: PagedAttention, rows: Rows) -> None:
        self._decoder = decoder
        self._attention = attention
        self._rows = rows

    @np.errstate(all="ignore")
    def begin(self, plan: StepPlan) -> OpenStep:
        """Apply the plan and run the forward pass."""
        self._apply(plan)
        batch = self._rows.batch(plan)
        self._attention.begin(batch)
        hidden_TE = self._decoder.forward(batch.token_ids_T, batch.positions_T, self._attention)
        return OpenStep(
            plan=plan,
            batch=batch,
            logits_SV=self._decoder.logits(hidden_TE[batch.last_S]),
            prompt_logprobs=dict(self._prompt_logprobs(batch, hidden_TE)),
        )

    @np.errstate(all="ignore")
    def finish(self, step: OpenStep, late: LateInputs) -> StepResult:
        """Draw the tokens of a step and append them to their rows."""
        places = step.batch.places_S.tolist()
        rows_S = step.batch.rows_R[step.batch.places_S]
        masks = dict(late.masks.each()) if late.masks is not None else {}
        sampling = [
            SamplingRow(self._rows.requests[row], *self._rows.history(row), masks.get(place))
            for row, place in zip(rows_S.tolist(), places, strict=True)
        ]
        token_ids_S, is_valid_S = draw_tokens(step.logits_SV, sampling)
        self._rows.append_tokens(rows_S, token_ids_S)
        return StepResult(
            step_id=step.plan.step_id,
            token_ids=token_ids_S.tolist(),
            logprobs={
                place: token_logprobs(step.logits_SV[[index]], token_ids_S[[index]], num_top)
                for index, (place, row) in enumerate(zip(places, sampling, strict=True))
                if (num_top := row.request.sampling.logprobs) is not None
            },
            prompt_logprobs=step.prompt_logprobs,
            errors={places[index]: _NO_TOKEN for index in np.flatnonzero(~is_valid_S)},
        )

    def _apply(self, plan: StepPlan) -> None:
        for row in plan.removed_rows:
            del self._rows.requests[row]
        for new in plan.new_rows:
            self._rows.enter(new)
        for copy in plan.copies:
            self._attention.caches[copy.group].copy_block(copy.source, copy.target)
        self._rows.change_tables(plan)

    def _prompt_logprobs(
        self, batch: Batch, hidden_TE: Floats
    ) -> Iterator[tuple[int, list[TokenLogprobs]]]:
        """For each row that asks for them: one entry for each computed token that has a prompt token behind it."""
        for place, row in enumerate(batch.rows_R.tolist()):
            num_top = self._rows.requests[row].sampling.prompt_logprobs
            first, start = int(batch.firsts_R[place]), int(batch.starts_R[place])
            next_P = self._rows.history(row)[0][start + 1 :][: batch.counts_R[place]]
            if num_top is None or not len(next_P):
                continue
            found: list[TokenLogprobs] = []
            for done in range(0, len(next_P), _PROMPT_TOKENS):
                some_P = next_P[done : done + _PROMPT_TOKENS]
                hidden_PE = hidden_TE[first + done :][: len(some_P)]
                found += token_logprobs(self._decoder.logits(hidden_PE), some_P, num_top)
            yield place, found
