"""Executors with one planted fault each, around the one that runs its worker on a thread."""

import contextlib
import pickle
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import ClassVar

from overtaken import Overtaken

from jackfield.activation import ActivationPlan
from jackfield.errors import WorkerError
from jackfield.executor.create import create_worker
from jackfield.executor.inline import InlineExecutor
from jackfield.executor.messages import Allocate, Completed, Failed, Load, Sample, Start
from jackfield.executor.multiprocess import MultiprocessExecutor
from jackfield.executor.ranks import RankProcesses
from jackfield.executor.report import merge_reports, output_rank
from jackfield.interfaces.executor import ExecutorFactory
from jackfield.step import StepPlan, StepResult


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
            super().sample(step_id, replace(late, masks=None))


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


class Ranked(FaultyFactory):
    """Of several ranks."""

    features = frozenset({"executor.num_ranks"})


def told_by(future, tell):
    """A future of what `tell` makes of a result, or of the same error."""
    told = Future()

    def pass_on(done):
        if error := done.exception():
            told.set_exception(error)
        else:
            told.set_result(tell(done.result()))

    future.add_done_callback(pass_on)
    return told


class Bare(FaultyFactory):
    """Brings of a plan its number alone."""

    class Executor(InlineExecutor):
        def submit(self, plan):
            return super().submit(StepPlan(step_id=plan.step_id, awaits_late=plan.awaits_late))


class Shortening(FaultyFactory):
    """Brings of a result its tokens alone."""

    class Executor(InlineExecutor):
        def submit(self, plan):
            return told_by(
                super().submit(plan),
                lambda r: StepResult(
                    step_id=r.step_id, token_ids=r.token_ids, sections={"plan": r.sections["plan"]}
                ),
            )


class LateToFirst(Ranked):
    """Late inputs go to the first rank alone."""

    class Executor(MultiprocessExecutor):
        def sample(self, step_id, late):
            self._group.ranks[0].send(pickle.dumps(Sample(step_id, late), 5))


class Overtaking(FaultyFactory):
    """With three in flight the last resolves before the second."""

    class Executor(Overtaken, InlineExecutor): ...


class Clinging(FaultyFactory):
    """Waits for a step that runs, however long."""

    class Executor(InlineExecutor):
        def __init__(self, context):
            settings = replace(context.config.executor, close_timeout_s=3600.0)
            super().__init__(replace(context, config=replace(context.config, executor=settings)))


class SparingOthers(Ranked):
    """Only the output rank makes the blocks that were decided."""

    class Executor(MultiprocessExecutor):
        def allocate(self, num_blocks):
            for rank in self._group.ranks:
                is_output = rank.rank == self._output_rank
                blocks = tuple(num_blocks) if is_output else (1,) * len(num_blocks)
                rank.send(pickle.dumps(Allocate(blocks, is_output), 5))
            self._group.gather("make its cache", self._timeout_s)


class ChangingClose(FaultyFactory):
    """Its worker's `close` goes through `end`."""

    class Executor(InlineExecutor):
        def __init__(self, context):
            super().__init__(context, self.make)

        def make(self, context):
            worker = create_worker(context)
            close, submit = worker.close, worker.submit
            worker.has_failed = False

            def watch(plan):
                worker.has_failed = True
                future = submit(plan)
                worker.has_failed = False
                return future

            worker.submit = watch
            worker.close = lambda: self.end(worker, close)
            return worker


class Elsewhere(ChangingClose):
    """Closes its worker on a thread of its own."""

    class Executor(ChangingClose.Executor):
        def end(self, worker, close):
            thread = threading.Thread(target=close)
            thread.start()
            thread.join()


class Starting(Ranked):
    """Its ranks get the context that `told` makes of theirs, and the digest of the one that the engine decided on."""

    class Executor(MultiprocessExecutor):
        def told(self, context):
            return context

        def digest(self, mine):
            return self._context.activation.digest

        def _start(self):
            self._group.listen()
            for rank in self._group.ranks:
                context = replace(self._context, rank=rank.rank, rendezvous="tcp://127.0.0.1:1")
                mine = pickle.dumps(self.told(context), 5)
                rank.send(pickle.dumps(Start(mine, self.digest(mine)), 5))
            self._group.broadcast(Load())
            reports = [one.report for one in self._group.gather("load", self._timeout_s)]
            self._output_rank = output_rank(reports)
            return merge_reports(reports)


class Credulous(Starting):
    """Ranks compare the digest with itself."""

    class Executor(Starting.Executor):
        def digest(self, mine):
            return pickle.loads(mine).activation.digest


class OtherPlugins(Ranked):
    """Ranks get another activation plan than the engine decided on."""

    class Executor(MultiprocessExecutor):
        def __init__(self, context):
            first = context.activation.selections[0]
            other = replace(first, plugin=replace(first.plugin, version="0.0.9"))
            super().__init__(replace(context, activation=ActivationPlan(selections=(other,))))


class Jealous(FaultyFactory):
    """A second one in the process ends the first."""

    class Executor(InlineExecutor):
        last: ClassVar[InlineExecutor | None] = None

        def start(self):
            if Jealous.Executor.last is not None:
                Jealous.Executor.last.close()
            Jealous.Executor.last = self
            return super().start()


class Losing(FaultyFactory):
    """An error that cannot be pickled is lost with its step."""

    class Executor(InlineExecutor):
        def submit(self, plan):
            told = Future()

            def pass_on(done):
                with contextlib.suppress(pickle.PicklingError, TypeError):
                    if error := done.exception():
                        pickle.dumps(error.__cause__)
                        told.set_exception(error)
                    else:
                        told.set_result(done.result())

            super().submit(plan).add_done_callback(pass_on)
            return told


class FirstOnly(RankProcesses):
    """Hears of the end of rank 0 alone."""

    def _listen(self):
        first = self.ranks[0]
        while True:
            reply = first.receive()
            if reply is None and self._closing.is_set():
                return
            if reply is None or isinstance(reply, Failed):
                self._fail({first.pipe: first}, first, reply)
                return
            if isinstance(reply, Completed):
                for rank in self.ranks[1:]:
                    with contextlib.suppress(EOFError, OSError):
                        rank.receive()
                self.steps.complete(reply.step_id, reply.result)
                for _ in self.ranks[1:]:
                    self.steps.complete(reply.step_id, None)
            else:
                self._answers.put((0, reply))
                for rank in self.ranks[1:]:
                    self._answers.put((rank.rank, rank.receive()))


class Shortsighted(Ranked):
    """Does not notice the death of any other rank than the first."""

    class Executor(MultiprocessExecutor):
        def __init__(self, context):
            super().__init__(context)
            self._end.detach()
            settings = context.config.executor
            self._group = FirstOnly(
                self._context.num_ranks, settings.start_method, settings.close_timeout_s
            )

        def close(self):
            self._group.close(at_once=True)
