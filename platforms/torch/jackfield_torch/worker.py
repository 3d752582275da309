"""The worker of the torch runtime: one rank of a model on one device."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from jackfield.checkpoint.adapter import read_adapters
from jackfield.discovery.selected import load_plugin
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult
from jackfield_torch import settings
from jackfield_torch.cache_builder import CacheBuilder
from jackfield_torch.decoder import Decoder, build_decoder
from jackfield_torch.device import Device
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.foreign import RunningForeign
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.adapters import KIND as ADAPTERS
from jackfield_torch.interfaces.adapters import AdapterContext, TorchAdapterFormat
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.logits_processor import KIND as PROCESSORS
from jackfield_torch.interfaces.logits_processor import ProcessorLimits
from jackfield_torch.interfaces.quantization import KIND as QUANTIZATION
from jackfield_torch.interfaces.quantization import LinearPart, QuantizationScheme
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.model_runner import ModelRunner
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Sampler
from jackfield_torch.sampling.processors import RowProcessors
from jackfield_torch.staging import StagingRing
from jackfield_torch.step_batch import BatchBuilder
from jackfield_torch.step_future import StepFuture
from jackfield_torch.step_results import OpenStep
from jackfield_torch.tensor_parallel import RankGroup, join_ranks

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Step:
    """A submitted step whose tokens are not drawn. It waits for its own late inputs, or for those of an earlier step."""

    plan: StepPlan
    future: StepFuture
    opened: OpenStep | None = None
    late: LateInputs | None = None


class TorchWorker(Worker):
    """Starts a step when it is submitted, on the thread of the caller. The step's future waits for the device."""

    def __init__(self, context: WorkerContext, device: Device) -> None:
        self._context = context
        self._device = device
        self._torch_device = torch.device(device.name)
        self._ranks: RankGroup | None = None
        self._loaded: tuple[Decoder | RunningForeign, Rows, Kernels] | None = None
        self._builder = CacheBuilder(context, self._torch_device)
        self._adapters: RunningAdapters | None = None  # None: the engine takes none
        self._runner: ModelRunner | None = None
        self._results: StagingRing | None = None
        # Steps with drafts whose results are not known yet.
        self._unconfirmed: deque[StepFuture] = deque()
        # Steps whose tokens are not drawn, in the order of submission.
        self._steps: deque[_Step] = deque()

    def load(self) -> WorkerReport:
        """Join the other ranks, load the weights, and make the rows."""
        context, device = self._context, self._device
        config, spec = context.config, context.spec
        device.start()
        self._ranks = join_ranks(
            context.rank,
            context.num_ranks,
            context.rendezvous,
            device.collectives,
            config.executor.start_timeout_s,
        )
        kernels = device.kernels()
        adapters = self._adapters = self._make_adapters()
        with torch.inference_mode():
            decoder = build_decoder(
                context,
                self._torch_device,
                torch_dtype(settings.model_dtype(config, spec)),
                _Schemes(context),
                self._ranks,
                kernels,
                adapters,
            )
            if adapters is not None:
                for found in read_adapters(config.adapters):
                    adapters.load(found)
            rows = Rows(
                max_rows=config.scheduler.max_rows,
                max_length=settings.max_length(config, spec),
                block_size=config.cache.block_size,
                num_groups=len(self._builder.groups),
                vocab_size=spec.vocab_size,
                device=self._torch_device,
                unscaled_length=spec.unscaled_length,
            )
        self._loaded = decoder, rows, kernels
        return WorkerReport(
            groups=self._builder.groups,
            block_bytes=self._builder.block_bytes,
            cache_bytes=device.cache_bytes(config.cache, self._builder.useful_bytes),
            limits=StepLimits(
                max_rows=config.scheduler.max_rows,
                max_step_tokens=config.scheduler.max_step_tokens,
            ),
            is_output_rank=context.rank == 0,
            details={**device.details(), **decoder.details},
        )

    @torch.inference_mode()
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache and all that steps need, and capture steps of the sizes that the device names."""
        assert self._loaded is not None, "load() comes first"
        config, vocab_size = self._context.config, self._context.spec.vocab_size
        device, (decoder, rows, kernels) = self._device, self._loaded
        depth, max_rows = config.executor.depth, config.scheduler.max_rows
        rows.set_spare_blocks(num_blocks)
        caches = self._builder.make_caches(num_blocks)
        inbox = Inbox(
            device,
            self._torch_device,
            kernels,
            rows.tensors,
            step_words=5 * max_rows + 1,
            draft_words=4 * config.scheduler.max_step_tokens + 3 * max_rows,
            depth=depth,
        )
        attention = self._builder.make_attention(
            caches, num_blocks, decoder.sinks, decoder.cache_scales, decoder.distance_biases
        )
        records_prompts = attention.can_capture_any and decoder.can_capture
        self._runner = ModelRunner(
            device=device,
            torch_device=self._torch_device,
            kernels=kernels,
            decoder=decoder,
            attention=attention,
            caches=caches,
            rows=rows,
            inbox=inbox,
            adapters=self._adapters,
            builder=BatchBuilder(
                rows,
                inbox,
                kernels,
                max_tokens=config.scheduler.max_step_tokens,
                row_sizes=self._row_sizes,
                token_sizes=self._token_sizes if records_prompts else (),
                is_worth_recording=attention.is_worth_recording,
                device=self._torch_device,
            ),
            sampler=Sampler(
                rows.tensors, kernels, vocab_size, self._torch_device, self._processors(rows)
            ),
        )
        self._results = StagingRing(device, depth + 1, 8 * max_rows)
        self._runner.capture(self._row_sizes)
        if words := device.started():
            _LOG.info("%s", words)

    def _make_adapters(self) -> RunningAdapters | None:
        """Make what adds to linears, if the engine takes adapters."""
        context, plan = self._context, self._context.activation
        refs = [s.plugin for s in plan.selections if s.plugin.kind == ADAPTERS]
        if not refs:
            return None
        card: TorchAdapterFormat = load_plugin(plan, refs[0])
        return card.create(
            AdapterContext(
                spec=context.spec,
                config=context.config,
                device=self._torch_device.type,
                dtype=settings.model_dtype(context.config, context.spec).name,
                max_rows=context.config.scheduler.max_rows,
            )
        )

    def _processors(self, rows: Rows) -> RowProcessors:
        """Make the logits processors that requests may name."""
        plan = self._context.activation
        refs = {s.plugin.name: s.plugin for s in plan.selections if s.plugin.kind == PROCESSORS}
        limits = ProcessorLimits(
            vocab_size=self._context.spec.vocab_size,
            max_rows=self._context.config.scheduler.max_rows,
            max_length=rows.width,
            device=self._torch_device.type,
        )
        return RowProcessors(lambda name: load_plugin(plan, refs[name]), limits, self._torch_device)

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Start the step, unless an earlier step still waits for its late inputs."""
        step = _Step(plan, StepFuture())
        self._steps.append(step)
        self._go_on()
        return step.future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Draw the tokens of a step with its late inputs, and start the steps after it."""
        step = next(step for step in self._steps if step.plan.step_id == step_id)
        step.late = late
        self._go_on()

    def close(self) -> None:
        """Drop weights and cache, and leave the group of ranks."""
        for step in self._steps:
            step.future.cancel()
        self._steps.clear()
        self._unconfirmed.clear()
        if self._results is not None:
            self._results.close()  # waits, because the device may still compute a started step
        if self._runner is not None:
            self._runner.close()
        self._runner = self._loaded = self._results = self._adapters = None
        if self._ranks is not None:
            self._ranks.close()
        self._device.close()

    @property
    def _row_sizes(self) -> tuple[int, ...]:
        """The device's numbers of rows that the scheduler can fill, and the largest number of rows in a step."""
        max_rows = self._context.config.scheduler.max_rows
        sizes = [size for size in self._device.row_sizes if size < max_rows]
        return (*sizes, max_rows) if len(sizes) < len(self._device.row_sizes) else tuple(sizes)

    @property
    def _token_sizes(self) -> tuple[int, ...]:
        """The device's numbers of tokens that fit into a step."""
        most = self._context.config.scheduler.max_step_tokens
        return tuple(size for size in self._device.token_sizes if size <= most)

    def _go_on(self) -> None:
        """Start steps in order, up to one without its late inputs: the next step needs the tokens that it draws."""
        assert self._runner is not None, "allocate() comes first"
        assert self._results is not None
        while self._steps:
            step = self._steps[0]
            if step.opened is None:
                self._await_drafts(self._runner.needs_host_lengths(step.plan))
                step.opened = self._runner.begin(step.plan, self._results.take())
            if step.plan.awaits_late and step.late is None:
                return
            self._steps.popleft()
            if step.plan.drafts:
                self._unconfirmed.append(step.future)
            step.opened.slot.finish = step.future.resolve
            step.future.start(self._runner.finish(step.opened, step.late or LateInputs()))

    def _await_drafts(self, needs_results: bool) -> None:
        """Forget resolved steps with drafts. With `needs_results`, wait for the others: their confirmed tokens decide
        the exact lengths.
        """
        while self._unconfirmed and (needs_results or self._unconfirmed[0].done()):
            self._unconfirmed.popleft().resolve()


class _Schemes:
    """The scheme that was selected for each linear. All linears of a plugin share one card."""

    def __init__(self, context: WorkerContext) -> None:
        plugins = context.activation.by_module(QUANTIZATION)
        cards = {plugin: load_plugin(context.activation, plugin) for plugin in {*plugins.values()}}
        self._of_module = {module: cards[plugin] for module, plugin in plugins.items()}

    def __call__(self, part: LinearPart) -> QuantizationScheme:
        scheme: QuantizationScheme = self._of_module[part.name]
        return scheme
