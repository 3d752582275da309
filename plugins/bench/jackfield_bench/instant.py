"""Plugins for an engine whose worker takes no time, so that only the host's work is measured. They are local plugins.

Nothing is computed: the drawn tokens of a step are read from a script beside the model's config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

from jackfield.config import EngineConfig
from jackfield.dtypes import BFLOAT16
from jackfield.interfaces.card import Facts
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.platform import ChoicePoint, Platform
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm, Rope
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult

ARCHITECTURE = "InstantForCausalLM"
SCRIPT = "script.json"  # a list of steps; each step is the tokens of all rows
_TOKEN = 7  # used if there is no script
_HERE = "jackfield_bench.instant"
PLUGINS = (
    f"platforms.instant={_HERE}:InstantPlatform",
    f"executors.instant={_HERE}:InstantExecutorFactory",
    f"models.{ARCHITECTURE}={_HERE}:instant_model",
)
SETTINGS: Mapping[str, Any] = {
    "plugins.local": PLUGINS,
    "select.platform": "instant",
    "select.executor": "instant",
    "select.weight_format": "dummy",
}


class InstantPlatform(Platform):
    """Takes any model. It has no worker of its own."""

    features: ClassVar[frozenset[str]] = frozenset({"*"})
    only_named: ClassVar[bool] = True

    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """Empty: nothing else is selected."""
        return ()

    def create_worker(self, context: WorkerContext) -> Worker:
        """Never called: the executor draws the tokens."""
        raise NotImplementedError


class InstantExecutorFactory(ExecutorFactory):
    """Serves any platform."""

    def create(self, context: WorkerContext) -> Executor:
        """Make the executor, ready for steps."""
        return InstantExecutor(context)


class InstantExecutor(Executor):
    """Resolves each step when it is submitted."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        script = context.files.path / SCRIPT
        self._script: list[list[int]] = json.loads(script.read_text()) if script.is_file() else []

    @property
    def depth(self) -> int:
        """As configured."""
        return self._context.config.executor.depth

    def start(self) -> WorkerReport:
        """Load nothing, and report a fixed cache."""
        spec, scheduler = self._context.spec, self._context.config.scheduler
        groups = spec.cache_groups(spec.dtype)
        limits = StepLimits(max_rows=scheduler.max_rows, max_step_tokens=scheduler.max_step_tokens)
        return WorkerReport(
            groups=groups, block_bytes=(1,) * len(groups), cache_bytes=1 << 40, limits=limits
        )

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Do nothing: there is no cache."""

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """A resolved future."""
        num_samples = plan.samples.count(True)
        script = self._script
        drawn = script[plan.step_id % len(script)] if script else [_TOKEN] * num_samples
        if len(drawn) != num_samples:
            drawn = drawn[:num_samples]
        future: Future[StepResult] = Future()
        future.set_result(StepResult(step_id=plan.step_id, token_ids=drawn))
        return future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Do nothing: no step waits."""

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


def instant_model(config: ConfigReader) -> ModelSpec:
    """One layer of full attention."""
    norm = Norm(epsilon=1e-5)
    mixer = Attention(
        num_heads=1,
        num_kv_heads=1,
        head_size=8,
        scale=1.0,
        rope=Rope(theta=10_000.0, rotary_size=8),
    )
    layer = Layer(
        mixer=mixer,
        feed_forward=FeedForward(size=8),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return ModelSpec(
        architecture=ARCHITECTURE,
        vocab_size=config.require("vocab_size", int),
        hidden_size=8,
        max_length=config.require("max_position_embeddings", int),
        layers=(layer,),
        final_norm=norm,
        modules={},
        dtype=BFLOAT16,
        end_token_ids=(),
        tied_head=True,
    )


def write_instant_model(folder: Path, *, vocab_size: int, max_length: int) -> None:
    """Write the config of a model for these plugins."""
    config = {
        "architectures": [ARCHITECTURE],
        "vocab_size": vocab_size,
        "max_position_embeddings": max_length,
    }
    (folder / "config.json").write_text(json.dumps(config))
