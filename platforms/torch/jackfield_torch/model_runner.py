"""Runs one step after the other: rows change as the plan says, the decoder runs, the sampler draws. Waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.checkpoint.adapter import read_adapter
from jackfield.interfaces.adapters import SECTION, AdapterChange
from jackfield.step import LateInputs, NewRow, StepPlan, StepResult
from jackfield_torch.attention_step import PagedAttention
from jackfield_torch.decoder import Decoder
from jackfield_torch.device import Device, Event
from jackfield_torch.drafts import Corrections
from jackfield_torch.foreign import RunningForeign
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.logprobs import LogprobArrays, compute_logprobs
from jackfield_torch.paged_cache import GroupCache
from jackfield_torch.pooler import Pooler
from jackfield_torch.replays import Replays
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Sampler
from jackfield_torch.sampling.bit_masks import MaskTensors, upload_masks
from jackfield_torch.staging import Slot
from jackfield_torch.states import StateCache
from jackfield_torch.step_batch import BatchBuilder, StepBatch
from jackfield_torch.step_results import OpenStep, PromptChunk, StepResults

_MAX_PROMPT_LOGITS = 1 << 24  # elements of prompt logits in memory at once: 64 MiB in float32


@dataclass(slots=True, kw_only=True)
class StartedStep:
    """A step whose whole work was given to the device."""

    event: Event | None  # `result` may be called after it; None: at once
    result: Callable[[], StepResult]


class ModelRunner:
    """The model of one rank with its rows, its cache and its sampler."""

    def __init__(
        self,
        *,
        device: Device,
        torch_device: torch.device,
        kernels: Kernels,
        decoder: Decoder | RunningForeign,
        attention: PagedAttention,
        caches: tuple[GroupCache | StateCache | None, ...],
        rows: Rows,
        inbox: Inbox,
        builder: BatchBuilder,
        sampler: Sampler,
        adapters: RunningAdapters | None = None,
    ) -> None:
        self._device, self._torch_device, self._kernels = device, torch_device, kernels
        self._decoder, self._attention, self._caches = decoder, attention, caches
        self._rows, self._inbox, self._builder = rows, inbox, builder
        self._sampler = sampler
        self._adapters = adapters
        # Steps without adapters, and steps in which a row has one: they run other operations.
        self._plain, self._adapted = (
            Replays(device, self._compute, sampler.draw, self._hidden) for _ in range(2)
        )
        self._corrections = Corrections(rows)
        self._pooler = Pooler(decoder.vectors, torch_device)
        self._prompt_logprobs: dict[int, int] = {}  # row: how many of the most likely tokens

    @torch.inference_mode()
    def capture(self, sizes: Sequence[int]) -> None:
        """Capture steps padded to these numbers of rows, if device, attention backends and model allow it."""
        if not (self._attention.can_capture and self._decoder.can_capture):
            return
        self._plain.capture(sizes, self._padding)
        if self._adapters is not None:
            self._adapters.is_active = True
            self._adapted.capture(sizes, self._padding)
            self._adapters.is_active = False

    def needs_host_lengths(self, plan: StepPlan) -> bool:
        """True if `begin` needs the results of all earlier steps with drafts."""
        return self._attention.needs_host_lengths(plan.num_tokens)

    @torch.inference_mode()
    def begin(self, plan: StepPlan, slot: Slot) -> OpenStep:
        """Apply the plan and start the forward pass."""
        self._corrections.apply()
        self._apply(plan)
        step = OpenStep(plan=plan, slot=slot)
        if not plan.rows:
            return step
        has_prompt_logprobs = self._wants_prompt_logprobs(plan)
        reads_all = has_prompt_logprobs or self._pooler.has_rows
        batch = step.batch = self._builder.build(plan, pads_prompts=not reads_all)
        self._attention.begin(batch.batches, is_recorded=batch.shape is not None)
        if self._adapters is not None:
            self._adapters.begin(plan.rows, plan.num_tokens)
        if reads_all:
            hidden_TE = self._forward(batch, self._pooler.second_texts(plan, batch.starts_R))
            step.logits_PV = self._logits(hidden_TE, batch) if len(batch.rows) else None
            step.vectors = self._pooler.pool(plan, batch.starts_R, hidden_TE, slot)
            if has_prompt_logprobs:
                step.prompt_logprobs = list(self._compute_prompt_logprobs(step, batch, hidden_TE))
        elif batch.shape is not None:
            hidden_PE = self._replays.hidden(batch)
            step.logits_PV = self._decoder.logits(hidden_PE) if len(batch.rows) else None
        elif len(batch.rows):
            step.logits_PV = self._replays.logits(batch)
            step.draws = self._replays.draws(batch)
        else:
            self._forward(batch)
        return step

    @torch.inference_mode()
    def finish(self, step: OpenStep, late: LateInputs) -> StartedStep:
        """Draw the tokens of a step, append them to their rows, and start to send all results to the host."""
        batch, slot = step.batch, step.slot
        drawn = None
        if batch is not None and step.logits_PV is not None:
            masks, draws = self._masks(batch, late), step.draws
            drawn = self._sampler.sample(step.logits_PV, batch, masks, draws)
            if batch.drafts is None:  # with drafts, the results count the confirmed tokens
                self._rows.num_tokens_R[batch.rows] += 1
        results = StepResults(step, drawn, self._corrections)
        slot.event = self._device.record()
        return StartedStep(event=slot.event, result=results)

    @property
    def _replays(self) -> Replays:
        """The recorded steps of the kind of the step at hand."""
        is_adapted = self._adapters is not None and self._adapters.is_active
        return self._adapted if is_adapted else self._plain

    def close(self) -> None:
        """Free the buffers of the attention backends. All else is freed with this object."""
        self._attention.close()

    def _apply(self, plan: StepPlan) -> None:
        for change in plan.sections.get(SECTION, ()):
            self._change_adapters(change)
        for row in plan.removed_rows:
            self._sampler.leave(row)
            self._pooler.leave(row)
            self._prompt_logprobs.pop(row, None)
        for new in plan.new_rows:
            self._enter(new)
        for copy in plan.copies:
            cache = self._caches[copy.group]
            assert cache is not None, "there are no blocks to copy where nothing is kept"
            cache.copy_block(copy.source, copy.target)
        self._rows.change_tables(plan, self._inbox)

    def _enter(self, new: NewRow) -> None:
        self._rows.enter(new, self._inbox)
        self._sampler.enter(new)
        if self._adapters is not None:
            self._adapters.enter(new.row, new.sampling.adapter)
        self._pooler.enter(new)
        if new.sampling.prompt_logprobs is not None:
            self._prompt_logprobs[new.row] = new.sampling.prompt_logprobs

    def _change_adapters(self, change: AdapterChange) -> None:
        assert self._adapters is not None, "adapters come only to an engine that takes them"
        if change.path:
            self._adapters.load(read_adapter(change.name, change.path))
        else:
            self._adapters.unload(change.name)

    def _padding(self, size: int) -> StepBatch:
        batch = self._builder.padding(size)
        self._attention.begin(batch.batches)
        return batch

    def _compute(self, batch: StepBatch) -> Tensor:
        return self._logits(self._forward(batch), batch)

    def _forward(self, batch: StepBatch, second_T: Tensor | None = None) -> Tensor:
        self._attention.start_pass()
        if self._adapters is not None and self._adapters.is_active:
            self._adapters.start_pass(batch.rows_R, batch.query_starts_R1, len(batch.token_ids_T))
        return self._decoder.forward(
            batch.token_ids_T, batch.positions_T, self._attention, second_T
        )

    def _hidden(self, batch: StepBatch) -> Tensor:
        return _drawing(self._forward(batch), batch)

    def _logits(self, hidden_TE: Tensor, batch: StepBatch) -> Tensor:
        return self._decoder.logits(_drawing(hidden_TE, batch))

    def _masks(self, batch: StepBatch, late: LateInputs) -> MaskTensors | None:
        masks = late.masks
        if masks is None or not masks.places:
            return None
        places = batch.positions_of(masks.places)
        return upload_masks(places, masks.bits, self._torch_device)

    def _wants_prompt_logprobs(self, plan: StepPlan) -> bool:
        return bool(self._prompt_logprobs) and not self._prompt_logprobs.keys().isdisjoint(
            plan.rows
        )

    def _compute_prompt_logprobs(
        self, step: OpenStep, batch: StepBatch, hidden_TE: Tensor
    ) -> Iterator[PromptChunk]:
        """For each row that asks for them: one entry for each computed token that has a prompt token behind it."""
        plan = step.plan
        starts = batch.starts_R.tolist()
        first = 0
        for place, (row, count, start) in enumerate(
            zip(plan.rows, plan.num_tokens, starts, strict=True)
        ):
            last = int(self._rows.num_prompt_R[row]) - 1
            num_wanted = min(start + count, last) - start
            if row in self._prompt_logprobs and num_wanted > 0:
                hidden_PE = hidden_TE[first : first + num_wanted]
                next_P = self._rows.tensors.token_ids_RL[row, start + 1 : start + 1 + num_wanted]
                num_top = self._prompt_logprobs[row]
                for arrays in self._prompt_chunks(step.slot, hidden_PE, next_P, num_top):
                    yield PromptChunk(place, num_top, arrays)
            if start + count >= last:
                self._prompt_logprobs.pop(row, None)
            first += count

    def _prompt_chunks(
        self, slot: Slot, hidden_PE: Tensor, next_P: Tensor, num_top: int
    ) -> Iterator[LogprobArrays]:
        size = max(1, _MAX_PROMPT_LOGITS // self._sampler.vocab_size)
        for hidden, following in zip(
            torch.split(hidden_PE, size), torch.split(next_P, size), strict=True
        ):
            yield compute_logprobs(self._decoder.logits(hidden), following, num_top).read(slot)


def _drawing(hidden_TE: Tensor, batch: StepBatch) -> Tensor:
    """hidden_PE, the hidden states from which tokens are drawn."""
    return hidden_TE if batch.tokens_P is None else hidden_TE.index_select(0, batch.tokens_P)
