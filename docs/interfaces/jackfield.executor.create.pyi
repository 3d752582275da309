# Part of: jackfield.executors.v1
from jackfield.interfaces.worker import Worker
from jackfield.interfaces.worker import WorkerContext
def create_worker(context: WorkerContext) -> Worker:
    ...
