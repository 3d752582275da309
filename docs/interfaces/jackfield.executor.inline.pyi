# Part of: jackfield 0.1
import logging
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import Future
from jackfield.executor.create import create_worker
from jackfield.interfaces.executor import Executor
from jackfield.interfaces.executor import ExecutorFactory
from jackfield.interfaces.worker import Worker
from jackfield.interfaces.worker import WorkerContext
from jackfield.interfaces.worker import WorkerReport
from jackfield.step import LateInputs
from jackfield.step import StepPlan
from jackfield.step import StepResult
logger = logging.getLogger(__name__)
class InlineExecutorFactory(ExecutorFactory):

    def create(self, context: WorkerContext) -> Executor:
        ...
class InlineExecutor(Executor):

    def __init__(self, context: WorkerContext, create: Callable[[WorkerContext], Worker]=create_worker) -> None:
        ...

    @property
    def depth(self) -> int:
        ...

    def start(self) -> WorkerReport:
        ...

    def allocate(self, num_blocks: Sequence[int]) -> None:
        ...

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        ...

    def sample(self, step_id: int, late: LateInputs) -> None:
        ...

    def close(self) -> None:
        ...
