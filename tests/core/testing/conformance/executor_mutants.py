"""Executors with one planted fault each, around the one that runs its worker on a thread."""

import contextlib
import threading
from concurrent.futures import Future
from dataclasses import replace

from jackfield.errors import WorkerError
from jackfield.executor.inline import InlineExecutor
from jackfield.executor.multiprocess import MultiprocessExecutor
from jackfield.interfaces.executor import ExecutorFactory


class FaultyFactory(ExecutorFactory):
    """Makes the executor that a subclass brings."""

    def create(self, context):
        return self.Executor(context)


class Waiting(FaultyFactory):
    """Takes no step before the last one is done."""

    class Executor(InlineExecutor):
        def submit(self, plan):
            future = super().submit(plan)
            if not plan.awaits_late:
                future.exception()
            return future


class Narrow(FaultyFactory):
    """Says that no step may be in flight."""

    class Executor(InlineExecutor):
        depth = 0


class Mixed(FaultyFactory):
    """Gives each step the result of the one before."""

    class Executor(InlineExecutor):
        last = None

        def submit(self, plan):
            told = Future()

            def tell(done):
                if done.exception():
                    told.set_exception(done.exception())
                else:
                    told.set_result(self.last or done.result())
                    self.last = done.result()

            super().submit(plan).add_done_callback(tell)
            return told


class Late(FaultyFactory):
    """Brings the late inputs of a step as none."""

    class Executor(InlineExecutor):
        def sample(self, step_id, late):
            super().sample(step_id, replace(late, masks={}))


class Vague(FaultyFactory):
    """Says that something failed, and not what."""

    class Executor(InlineExecutor):
        def submit(self, plan):
            told = Future()

            def tell(done):
                if done.exception():
                    told.set_exception(WorkerError("a worker failed"))
                else:
                    told.set_result(done.result())

            super().submit(plan).add_done_callback(tell)
            return told


class Hopeful(FaultyFactory):
    """Starts although the worker could not."""

    class Executor(InlineExecutor):
        def allocate(self, num_blocks):
            with contextlib.suppress(WorkerError):
                super().allocate(num_blocks)


class Once(FaultyFactory):
    """Cannot be closed twice."""

    class Executor(InlineExecutor):
        is_closed = False

        def close(self):
            if self.is_closed:
                raise RuntimeError("closed already")
            self.is_closed = True
            super().close()


class Haunted(FaultyFactory):
    """Leaves a thread behind."""

    class Executor(InlineExecutor):
        def start(self):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            return super().start()


class Greedy(FaultyFactory):
    """Takes the memory of the first rank for that of all."""

    features = frozenset({"executor.num_ranks"})

    class Executor(MultiprocessExecutor):
        def start(self):
            return replace(super().start(), cache_bytes=10_000)


class Alone(FaultyFactory):
    """Claims ranks and runs one."""

    features = frozenset({"executor.num_ranks"})
    Executor = InlineExecutor
