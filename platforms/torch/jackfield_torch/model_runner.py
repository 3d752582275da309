"""One step after the other: rows change as the plan says, the decoder runs, the sampler draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from jackfield.step import LateInputs, NewRow, StepPlan, StepResult, TokenLogprobs
from jackfield_torch.attention_step import PagedAttention
from jackfield_torch.decoder import Decoder
from jackfield_torch.logprobs import compute_logprobs
from jackfield_torch.paged_cache import GroupCache
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Drawn, Sampler
from jackfield_torch.staging import Staging
from jackfield_torch.step_batch import BatchBuilder, StepBatch

_MAX_PROMPT_LOGITS = 1 << 24  # elements of prompt logits that exist at once: 64 MiB in float32


@dataclass(slots=True, kw_only=True)
class OpenStep:
    """A step whose forward pass ran and whose tokens are not drawn yet."""

    plan: StepPlan
    batch: StepBatch | None = None  # None where no row computes
    logits_SV: Tensor | None = None  # None where no row samples
    prompt_logprobs: Mapping[int, list[TokenLogprobs]] = field(default_factory=dict)


class ModelRunner:
    """The model of one rank with its rows, its cache and its sampler."""

    def __init__(
        self,
        decoder: Decoder,
        attention: PagedAttention,
        caches: tuple[GroupCache, ...],
        rows: Rows,
        sampler: Sampler,
        staging: Staging,
    ) -> None:
        self._decoder = decoder
        self._attention = attention
        self._caches = caches
        self._rows = rows
        self._sampler = sampler
        self._builder = BatchBuilder(rows, staging)
        self._prompt_logprobs: dict[int, int] = {}  # row: how many of the most likely tokens

    @torch.inference_mode()
    def begin(self, plan: StepPlan) -> OpenStep:
        """Apply the plan and run the forward pass."""
        self._apply(plan)
        if not plan.rows:
            return OpenStep(plan=plan)
        batch = self._builder.build(plan)
        self._attention.begin(batch.batches)
        hidden_TE = self._decoder.forward(batch.token_ids_T, batch.positions_T, self._attention)
        return OpenStep(
            plan=plan,
            batch=batch,
            logits_SV=self._sampling_logits(hidden_TE, batch),
            prompt_logprobs=dict(self._compute_prompt_logprobs(plan, batch, hidden_TE))
            if self._prompt_logprobs
            else {},
        )

    @torch.inference_mode()
    def finish(self, step: OpenStep, late: LateInputs) -> StepResult:
        """Draw the tokens of a step and append them to their rows."""
        if step.batch is None or step.logits_SV is None:
            return StepResult(
                step_id=step.plan.step_id, token_ids=(), prompt_logprobs=step.prompt_logprobs
            )
        batch, rows = step.batch, self._rows
        num_outputs_S = rows.num_tokens_R[batch.rows_S] - rows.num_prompt_R[batch.rows_S]
        masks = {
            batch.places_S.index(place): mask
            for place, mask in (late.masks.each() if late.masks is not None else ())
            if place in batch.places_S
        }
        drawn = self._sampler.sample(step.logits_SV, batch.rows_S, num_outputs_S, masks)
        rows.append_tokens(batch.rows_S, batch.next_S, drawn.token_ids_S)
        return _result(step, batch.places_S, drawn)

    def close(self) -> None:
        """Free the backends' buffers; the rest goes with this object."""
        self._attention.close()

    def _apply(self, plan: StepPlan) -> None:
        for row in plan.removed_rows:
            self._sampler.leave(row)
            self._prompt_logprobs.pop(row, None)
        for new in plan.new_rows:
            self._enter(new)
        for copy in plan.copies:
            self._caches[copy.group].copy_block(copy.source, copy.target)
        self._rows.change_tables(plan)

    def _enter(self, new: NewRow) -> None:
        token_ids = self._rows.enter(new)
        self._sampler.enter(new, token_ids)
        if new.sampling.prompt_logprobs is not None:
            self._prompt_logprobs[new.row] = new.sampling.prompt_logprobs

    def _sampling_logits(self, hidden_TE: Tensor, batch: StepBatch) -> Tensor | None:
        if not batch.places_S:
            return None
        last_S = batch.last_S
        return self._decoder.logits(
            hidden_TE if last_S is None else hidden_TE.index_select(0, last_S)
        )

    def _compute_prompt_logprobs(
        self, plan: StepPlan, batch: StepBatch, hidden_TE: Tensor
    ) -> Iterator[tuple[int, list[TokenLogprobs]]]:
        """Of each row that wants them: one entry for each computed token that has a prompt token behind it."""
        starts = batch.starts_R.tolist()
        first = 0
        for place, (row, count, start) in enumerate(
            zip(plan.rows, plan.num_tokens, starts, strict=True)
        ):
            num_wanted = min(start + count, int(self._rows.num_prompt_R[row]) - 1) - start
            if row in self._prompt_logprobs and num_wanted > 0:
                hidden_PE = hidden_TE[first : first + num_wanted]
                next_P = self._rows.token_ids_RL[row, start + 1 : start + 1 + num_wanted]
                yield place, self._prompt_chunks(hidden_PE, next_P, self._prompt_logprobs[row])
            first += count

    def _prompt_chunks(
        self, hidden_PE: Tensor, next_P: Tensor, num_top: int
    ) -> list[TokenLogprobs]:
        found: list[TokenLogprobs] = []
        size = max(1, _MAX_PROMPT_LOGITS // self._sampler.vocab_size)
        for hidden, following in zip(
            torch.split(hidden_PE, size), torch.split(next_P, size), strict=True
        ):
            logits = self._decoder.logits(hidden)
            batch = compute_logprobs(logits, following.long(), num_top)
            found += batch.to_host([num_top] * len(following))
        return found


def _result(step: OpenStep, places: Sequence[int], drawn: Drawn) -> StepResult:
    """What the host learns of a step: the one place that waits for the device."""
    result = StepResult(
        step_id=step.plan.step_id,
        token_ids=drawn.token_ids_S.tolist(),
        prompt_logprobs=step.prompt_logprobs,
    )
    if drawn.logprobs is not None:
        num_top = [max(0, number) for number in drawn.num_logprobs]
        found = drawn.logprobs.to_host(num_top)
        result.logprobs = {
            place: (entry,)
            for place, entry, number in zip(places, found, drawn.num_logprobs, strict=True)
            if number >= 0
        }
    is_valid = drawn.is_valid_S.numpy(force=True)
    if not is_valid.all():
        result.errors = {places[index]: _NO_TOKEN for index in np.flatnonzero(~is_valid).tolist()}
    return result


_NO_TOKEN = (
    "no token can be drawn: the model's logits are not finite (NaN or infinite), or masks, logit_bias and min_tokens "
    "forbid every token. Try model.dtype=float32, or loosen what forbids tokens"
)
