# Part of: jackfield_testing 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from jackfield.config import EngineConfig
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import ChoicePoint
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker
from jackfield.interfaces.worker import WorkerContext
from jackfield.interfaces.worker import WorkerReport
from jackfield.model_spec import ModelSpec
from jackfield.step import LateInputs
from jackfield.step import StepPlan
from jackfield.step import StepResult
SLEEP_S = 0.3
CHILD_S = 20.0
def scripted_context(folder: Path, num_ranks: int=1, *, start_timeout_s: float=60.0, close_timeout_s: float=30.0, depth: int=2, settings: Mapping[str, Any] | None=None, **script: Any) -> WorkerContext:
    ...
def lying_context(context: WorkerContext) -> WorkerContext:
    ...
def release(folder: Path) -> None:
    ...
class ScriptedPlatform(Platform):

    def choices(self, spec: ModelSpec, config: EngineConfig, facts: Facts) -> tuple[ChoicePoint, ...]:
        ...

    def create_worker(self, context: WorkerContext) -> Worker:
        ...
class Unpicklable(Exception):

    def __init__(self, message: str) -> None:
        ...
class ScriptedWorker(Worker):

    def __init__(self, context: WorkerContext) -> None:
        ...
    context: WorkerContext = ...

    def load(self) -> WorkerReport:
        ...

    def allocate(self, num_blocks: Sequence[int]) -> None:
        ...

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        ...

    def sample(self, step_id: int, late: LateInputs) -> None:
        ...

    def close(self) -> None:
        ...
