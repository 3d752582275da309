"""The worker of the torch runtime: one rank of a model on one device."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from jackfield.discovery.selected import load_plugin
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult
from jackfield_torch import settings
from jackfield_torch.cache_builder import CacheBuilder
from jackfield_torch.decoder import Decoder, build_decoder
from jackfield_torch.device import Device
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.quantization import KIND as QUANTIZATION
from jackfield_torch.interfaces.quantization import LinearPart, QuantizationScheme
from jackfield_torch.model_runner import ModelRunner, OpenStep
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Sampler
from jackfield_torch.staging import Staging
from jackfield_torch.tensor_parallel import RankGroup, join_ranks


@dataclass(slots=True)
class _Step:
    """A submitted step: it waits to begin behind one that awaits late inputs, or for its own."""

    plan: StepPlan
    future: Future[StepResult]
    opened: OpenStep | None = None
    late: LateInputs | None = None


class TorchWorker(Worker):
    """Computes a step when it is submitted, on the thread that calls."""

    def __init__(self, context: WorkerContext, device: Device) -> None:
        self._context = context
        self._device = device
        self._torch_device = torch.device(device.name)
        self._ranks: RankGroup | None = None
        self._decoder: Decoder | None = None
        self._builder = CacheBuilder(context, self._torch_device)
        self._runner: ModelRunner | None = None
        self._steps: deque[_Step] = deque()  # not finished, in order of submission

    def load(self) -> WorkerReport:
        """Join the other ranks and load the weights."""
        context = self._context
        self._device.start()
        self._ranks = join_ranks(
            context.rank,
            context.num_ranks,
            context.rendezvous,
            self._device.collectives,
            context.config.executor.start_timeout_s,
        )
        with torch.inference_mode():
            self._decoder = build_decoder(
                context,
                self._torch_device,
                torch_dtype(settings.model_dtype(context.config, context.spec)),
                _Schemes(context),
                self._ranks,
            )
        return WorkerReport(
            groups=self._builder.groups,
            block_bytes=self._builder.block_bytes,
            cache_bytes=self._device.cache_bytes(context.config.cache, self._builder.useful_bytes),
            limits=StepLimits(
                max_rows=context.config.scheduler.max_rows,
                max_step_tokens=context.config.scheduler.max_step_tokens,
            ),
            is_output_rank=context.rank == 0,
            details={**self._device.details(), **self._decoder.details},
        )

    @torch.inference_mode()
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache, the rows and the sampler."""
        assert self._decoder is not None, "load() comes first"
        context, device = self._context, self._torch_device
        config, spec = context.config, context.spec
        caches = self._builder.make_caches(num_blocks)
        rows = Rows(
            max_rows=config.scheduler.max_rows,
            max_length=settings.max_length(config, spec),
            block_size=config.cache.block_size,
            num_groups=len(caches),
            device=device,
            unscaled_length=spec.unscaled_length,
        )
        self._runner = ModelRunner(
            self._decoder,
            self._builder.make_attention(caches, num_blocks, self._decoder.sinks),
            caches,
            rows,
            Sampler(config.scheduler.max_rows, spec.vocab_size, device),
            Staging(device),
        )

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Compute the step, unless one before it still awaits late inputs."""
        step = _Step(plan, Future())
        self._steps.append(step)
        self._go_on()
        return step.future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Bring late inputs; the step is finished, and those behind it run."""
        step = next(step for step in self._steps if step.plan.step_id == step_id)
        step.late = late
        self._go_on()

    def close(self) -> None:
        """Drop weights and cache, leave the ranks."""
        self._steps.clear()
        if self._runner is not None:
            self._runner.close()
        self._runner = self._decoder = None
        if self._ranks is not None:
            self._ranks.close()
        self._device.close()

    def _go_on(self) -> None:
        """Run steps in order, up to one that lacks its late inputs: the next needs the tokens that it draws."""
        assert self._runner is not None, "allocate() comes first"
        while self._steps:
            step = self._steps[0]
            step.opened = step.opened or self._runner.begin(step.plan)
            if step.plan.awaits_late and step.late is None:
                return
            self._steps.popleft()
            step.future.set_result(self._runner.finish(step.opened, step.late or LateInputs()))


class _Schemes:
    """The scheme that was selected for each linear; one card serves all linears of a plugin."""

    def __init__(self, context: WorkerContext) -> None:
        plugins = context.activation.by_module(QUANTIZATION)
        cards = {plugin: load_plugin(context.activation, plugin) for plugin in {*plugins.values()}}
        self._of_module = {module: cards[plugin] for module, plugin in plugins.items()}

    def __call__(self, part: LinearPart) -> QuantizationScheme:
        scheme: QuantizationScheme = self._of_module[part.name]
        return scheme
