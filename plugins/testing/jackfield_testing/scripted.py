"""A platform whose workers report their rank and what reached them, and fail where their options say so."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from jackfield import __version__
from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.cache import FULL, CacheGroup, key_and_value
from jackfield.config import EngineConfig, load_config
from jackfield.dtypes import FLOAT32
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.platform import ChoicePoint, Platform
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.model_spec import ModelSpec
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult
from jackfield_testing.models import tiny_spec
from jackfield_testing.whole_step import described, whole_result

SLEEP_S = 0.3  # of the action `sleep`, unless the script says otherwise
CHILD_S = 20.0  # time that a child outlives its worker, whose pipe it holds open
_RELEASED = "released"


def scripted_context(
    folder: Path,
    num_ranks: int = 1,
    *,
    start_timeout_s: float = 60.0,
    close_timeout_s: float = 30.0,
    depth: int = 2,
    settings: Mapping[str, Any] | None = None,
    **script: Any,
) -> WorkerContext:
    """The context of an executor that runs scripted workers.

    `script` maps an event (create, load, allocate, step1, step2, ..., close) to an action: raise, raise_on_purpose
    (an error of jackfield's), raise_unpicklable, exit, vanish and kill (end the process), hang (until the file
    `released` is in the folder), sleep (for `sleep_s`). `settings` are further settings, "section.key". `rank` is the
    rank on which the script runs (default: all), `output_rank` the rank with the results (default: 0). Workers write
    files to `folder`: `pidN` with process and host when they are made, `blocksN` when they make a cache, and a line
    in `closedN` each time they are closed, with the number of threads that ever called them.
    """
    plugin = PluginRef(
        kind="jackfield.platforms",
        major=1,
        name="scripted",
        distribution="jackfield",
        version=__version__,
        target=f"{__name__}:ScriptedPlatform",
    )
    code = {
        "executor.tensor_parallel": num_ranks,
        "executor.start_timeout_s": start_timeout_s,
        "executor.close_timeout_s": close_timeout_s,
        "executor.depth": depth,
        **(settings or {}),
        **{f"options.scripted.{key}": value for key, value in script.items()},
    }
    return WorkerContext(
        activation=ActivationPlan(selections=(Selection(subject="engine", plugin=plugin),)),
        config=load_config(environ={}, code=code).config,
        spec=tiny_spec(),
        files=ModelFiles(reference="none", path=folder),
        num_ranks=num_ranks,
    )


def lying_context(context: WorkerContext) -> WorkerContext:
    """The same context, with an activation plan that changes when it is unpickled: it then names another plugin."""
    return replace(context, activation=_Lying(selections=context.activation.selections))


class _Lying(ActivationPlan):
    def __reduce__(self) -> tuple[Any, ...]:
        return _another, (self.selections,)


def _another(selections: tuple[Selection, ...]) -> ActivationPlan:
    first, *others = selections
    other = replace(first, plugin=replace(first.plugin, name="another"))
    return ActivationPlan(selections=(other, *others))


def release(folder: Path) -> None:
    """End the actions `hang`."""
    (folder / _RELEASED).touch()


class ScriptedPlatform(Platform):
    """Made by `scripted_context`; never installed."""

    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """Empty: nothing else is selected."""
        return ()

    def create_worker(self, context: WorkerContext) -> Worker:
        """Make the worker of one rank."""
        return ScriptedWorker(context)


class Unpicklable(Exception):
    """An error that cannot cross a process border."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class ScriptedWorker(Worker):
    """Answers a step with its rank and the number of threads that have called it, or with the number of masks.

    The sections of a result are `described` for the plan and the late inputs; all other fields of the result are set
    too.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.context = context
        self.script: Mapping[str, Any] = dict(context.config.options.get("scripted", {}))
        self.folder = context.files.path
        self.threads = {threading.get_ident()}
        self.num_steps = 0
        # Future, and a description of the plan.
        self.waiting: dict[int, tuple[Future[StepResult], str]] = {}
        (self.folder / f"pid{context.rank}").write_text(f"{os.getpid()} {socket.gethostname()}")
        self._act("create")

    def load(self) -> WorkerReport:
        """Return a report. Ranks differ in memory and limits, so that tests see how an executor merges them."""
        self._act("load")
        rank = self.context.rank
        group = CacheGroup(index=0, kind=FULL, layers=(0,), tensors=key_and_value(1, 4, FLOAT32))
        return WorkerReport(
            groups=(group,),
            block_bytes=(100 + rank,),
            cache_bytes=10_000 - 1000 * rank,
            limits=StepLimits(max_rows=8 + rank, max_step_tokens=64 - rank),
            is_output_rank=rank == self.script.get("output_rank", 0),
            details={
                "rendezvous": self.context.rendezvous,
                "num_ranks": str(self.context.num_ranks),
                "digest": self.context.activation.digest,
            },
        )

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Write a file; there is no cache."""
        self._act("allocate")
        (self.folder / f"blocks{self.context.rank}").write_text(described(tuple(num_blocks)))

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Answer at once, or when late inputs come."""
        self.num_steps += 1
        self._act(f"step{self.num_steps}")
        future: Future[StepResult] = Future()
        if plan.awaits_late:
            self.waiting[plan.step_id] = (future, described(plan))
        else:
            ids = [self.context.rank, len(self.threads)]
            future.set_result(whole_result(plan.step_id, ids, {"plan": described(plan)}))
        return future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Answer with the number of masks."""
        future, plan = self.waiting.pop(step_id)
        sections = {"plan": plan, "late": described(late)}
        future.set_result(
            whole_result(step_id, [len(late.masks.places) if late.masks else 0], sections)
        )

    def close(self) -> None:
        """Write a line to a file."""
        self._act("close")
        with (self.folder / f"closed{self.context.rank}").open("a") as signs:
            signs.write(f"{len(self.threads)}\n")

    def _act(self, event: str) -> None:
        self.threads.add(threading.get_ident())
        action = self.script.get(event)
        if action is None or self.script.get("rank", self.context.rank) != self.context.rank:
            return
        if action == "raise":
            raise RuntimeError(f"scripted at {event}")
        if action == "raise_on_purpose":
            raise CheckpointError("model.bin: too short")
        if action == "raise_unpicklable":
            raise Unpicklable("scripted")
        if action == "print":
            sys.stdout.write("said by the worker\n")
        if action == "vanish_before_its_child":
            if os.fork() == 0:
                time.sleep(CHILD_S)
                os._exit(0)
            os._exit(5)
        if action == "exit":
            sys.exit(3)
        if action == "vanish":
            os._exit(5)
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while action == "hang" and not (self.folder / _RELEASED).exists():
            time.sleep(0.02)
        if action == "sleep":
            time.sleep(self.script.get("sleep_s", SLEEP_S))
