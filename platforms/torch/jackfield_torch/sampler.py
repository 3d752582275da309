"""From logits to tokens: edits, one draw for each row, and log probabilities. Waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.step import NewRow
from jackfield_torch.drafts import DraftBatch, earlier_guesses
from jackfield_torch.interfaces.kernels import (
    FREQUENCY,
    NUM_PROMPT,
    NUM_TOKENS,
    PRESENCE,
    REPETITION,
    DraftTensors,
    DrawFacts,
    Kernels,
    RowTensors,
)
from jackfield_torch.logprobs import LogprobTensors, compute_logprobs
from jackfield_torch.sampling.bad_words import forbid_bad_words
from jackfield_torch.sampling.bit_masks import MaskTensors, forbid_unset
from jackfield_torch.sampling.penalties import TokenCounts, penalise
from jackfield_torch.sampling.processors import RowProcessors, no_processors
from jackfield_torch.sampling.row_params import EditBatch, PenaltyBatch, RowParams
from jackfield_torch.staging import upload
from jackfield_torch.step_batch import StepBatch

Drafts = tuple[DraftBatch, DraftTensors]  # on the host and on the device


@dataclass(slots=True, kw_only=True)
class Drawn:
    """What P rows of logits drew, on the device, including padding."""

    token_ids_P: Tensor  # int64; negative if no token can be drawn
    counts_S: Tensor | None  # int64, how many tokens of each row count; None: all
    logprobs: LogprobTensors | None  # of all rows, if any row asked for them
    num_logprobs: tuple[int, ...]  # of each row, without padding; negative if the row wants none


class Sampler:
    """Holds the sampling state of all rows.

    The random numbers of a request depend only on its seed and on how many tokens it has drawn. So its tokens do not
    depend on other rows, on preemption, or on how its prompt was cut.
    """

    def __init__(
        self,
        rows: RowTensors,
        kernels: Kernels,
        vocab_size: int,
        device: torch.device,
        processors: RowProcessors | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        self._rows, self._kernels = rows, kernels
        self._params = RowParams(rows.spare_row, vocab_size, device)
        self._counts = TokenCounts(vocab_size, device)
        self._processors = processors or no_processors(device)
        self._nothing = torch.empty(0, dtype=torch.int64, device=device)

    def enter(self, new: NewRow) -> None:
        """Start a request in its row."""
        self._params.enter(new)
        if self._params.uses_penalties(new.row):
            self._counts.enter(new.row, new.token_ids, new.num_prompt_tokens)
        if new.sampling.logits_processors:
            self._processors.enter(new)

    def leave(self, row: int) -> None:
        """Forget a row."""
        self._counts.leave(row)
        self._processors.leave(row)

    def sample(
        self,
        logits_PV: Tensor,
        batch: StepBatch,
        masks: MaskTensors | None = None,
        replays: Mapping[DrawFacts, Callable[[], Tensor]] | None = None,
    ) -> Drawn:
        """Draw a token for each row of logits, and append the tokens that count to the rows.

        `logits_PV` may be overwritten. `replays` are captured versions of `draw`.
        """
        params = self._params.batch(batch.rows)
        has_processors = self._processors.are_named(batch.rows)
        if params.is_plain and masks is None and batch.drafts is None and not has_processors:
            replay = replays.get(params.facts) if replays else None
            return Drawn(
                token_ids_P=self.draw(logits_PV, batch, params.facts)
                if replay is None
                else replay(),
                counts_S=None,
                logprobs=None,
                num_logprobs=params.num_logprobs,
            )
        logits_PV = logits_PV.float()
        records_PC = num_outputs_P = self._nothing
        is_edited = has_processors or params.edits_logits or masks or params.facts.is_random
        if is_edited:
            records_PC, num_outputs_P = self._records(batch)
            if batch.drafts is not None:
                num_outputs_P += batch.drafts[1].offsets_P
        # Log probabilities are those of the model, before any edit.
        given_PV = logits_PV.clone() if params.wants_logprobs and is_edited else logits_PV
        if has_processors:
            num_prompt_P = records_PC[:, NUM_PROMPT].long()
            self._processors.apply(
                logits_PV,
                batch.rows,
                self._rows.token_ids_RL,
                num_prompt_P + num_outputs_P,
                num_prompt_P,
                batch.longest,
            )
        if params.penalties is not None:
            self._penalise(logits_PV, records_PC, params.penalties, batch.drafts)
        if params.edits is not None:
            _edit(logits_PV, num_outputs_P, params.edits)
        if params.bad_words is not None:
            num_prompt_P = records_PC[:, NUM_PROMPT].long()
            forbid_bad_words(
                logits_PV,
                self._rows.token_ids_RL,
                batch.rows_P.long(),
                num_prompt_P,
                num_prompt_P + num_outputs_P,
                params.bad_words,
            )
        for some in (params.allowed, masks):
            if some is not None:
                forbid_unset(logits_PV, some)
        token_ids_P = self._kernels.sample(logits_PV, records_PC, num_outputs_P, params.facts)
        counts_S = self._append(batch, token_ids_P)
        if params.penalties is not None:
            self._count(params.penalties, token_ids_P, batch.drafts, counts_S)
        return Drawn(
            token_ids_P=token_ids_P,
            counts_S=counts_S,
            logprobs=compute_logprobs(given_PV, token_ids_P, max(params.num_logprobs))
            if params.wants_logprobs
            else None,
            num_logprobs=params.num_logprobs,
        )

    def draw(self, logits_PV: Tensor, batch: StepBatch, facts: DrawFacts) -> Tensor:
        """Draw a token for each row of logits and append it, if nothing edits the logits and no row wants log
        probabilities.
        """
        records_PC = num_outputs_P = self._nothing
        if facts.is_random:
            records_PC, num_outputs_P = self._records(batch)
        token_ids_P = self._kernels.sample(logits_PV, records_PC, num_outputs_P, facts)
        self._kernels.append_tokens(self._rows, batch.rows_P, token_ids_P)
        return token_ids_P

    def _records(self, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """records_PC of the rows, and the number of output tokens of each row."""
        records_PC = self._rows.records_RC.index_select(0, batch.rows_P)
        return records_PC, (records_PC[:, NUM_TOKENS] - records_PC[:, NUM_PROMPT]).long()

    def _append(self, batch: StepBatch, token_ids_P: Tensor) -> Tensor | None:
        if batch.drafts is None:
            self._kernels.append_tokens(self._rows, batch.rows_P, token_ids_P)
            return None
        return self._kernels.confirm_drafts(self._rows, batch.drafts[1], token_ids_P)

    def _count(
        self,
        batch: PenaltyBatch,
        token_ids_P: Tensor,
        drafts: Drafts | None,
        counts_S: Tensor | None,
    ) -> None:
        weights = None
        if drafts is not None and counts_S is not None:
            _, tensors = drafts
            counts_P = counts_S.index_select(0, tensors.row_P)
            weights = (tensors.offsets_P < counts_P).int().index_select(0, batch.places_P)
        self._counts.add(batch.rows, token_ids_P.index_select(0, batch.places_P), weights)

    def _penalise(
        self, logits_PV: Tensor, records_PC: Tensor, batch: PenaltyBatch, drafts: Drafts | None
    ) -> None:
        places = batch.places_P
        floats = records_PC.index_select(0, places).view(torch.float32).unsqueeze(-1)
        output, prompt = self._counts.of(batch.rows)
        if drafts is not None:  # after a right guess the row also holds that token
            where, guesses = earlier_guesses(drafts[0], batch.places)
            flat = upload(where * self.vocab_size + guesses, places.device)
            output.view(-1).index_add_(0, flat, torch.ones_like(flat, dtype=torch.int32))
        penalised = penalise(
            logits_PV.index_select(0, places),
            output,
            prompt,
            floats[:, REPETITION],
            floats[:, PRESENCE],
            floats[:, FREQUENCY],
        )
        logits_PV.index_copy_(0, places, penalised)


def _edit(logits_PV: Tensor, num_outputs_P: Tensor, edits: EditBatch) -> None:
    applies_E = num_outputs_P.index_select(0, edits.places_E) < edits.until_E
    values_E = torch.where(applies_E, edits.values_E, 0.0)
    flat_E = edits.places_E * logits_PV.shape[1] + edits.token_ids_E
    logits_PV.view(-1).index_add_(0, flat_E, values_E)
