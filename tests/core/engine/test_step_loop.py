from concurrent.futures import Future

import pytest

from jackfield.engine.step_loop import StepLoop
from jackfield.errors import EngineError, WorkerError
from jackfield.interfaces.executor import Executor
from jackfield.step import StepPlan, StepResult


class PlannedScheduler:
    """Hands out as many plans as it is told to."""

    num_waiting, num_running, awaits_late = 1, 0, False

    def __init__(self, num_plans):
        self.plans = [StepPlan(step_id=number) for number in range(num_plans)]
        self.has_unfinished = True
        self.updated = []

    def take_lost(self):
        return []

    def schedule(self):
        return self.plans.pop(0) if self.plans else None

    def update(self, plan, result):
        self.updated.append((plan.step_id, result.step_id))
        return []


class HeldExecutor(Executor):
    """Steps end when the test says so."""

    depth = 2

    def __init__(self):
        self.futures = []

    def start(self):
        raise NotImplementedError

    def allocate(self, num_blocks):
        raise NotImplementedError

    def submit(self, plan):
        self.futures.append(Future())
        return self.futures[-1]

    def sample(self, step_id, late):
        raise NotImplementedError

    def close(self): ...

    def end(self, step_id):
        self.futures[step_id].set_result(StepResult(step_id=step_id, token_ids=[]))


@pytest.fixture
def make_loop():
    def make(num_plans, *, step_timeout_s=None, executor=None, **values):
        scheduler, executor = PlannedScheduler(num_plans), executor or HeldExecutor()
        loop = StepLoop(scheduler, executor, step_timeout_s=step_timeout_s, **values)
        return loop, scheduler, executor

    return make


def test_it_submits_until_the_executor_is_full(make_loop):
    loop, scheduler, executor = make_loop(5)

    assert loop.launch()

    assert (len(executor.futures), len(scheduler.plans)) == (2, 3)


def test_results_are_applied_in_the_order_of_submission(make_loop):
    loop, scheduler, executor = make_loop(3)
    loop.launch()
    executor.end(1)  # the later one is done first
    executor.end(0)

    for _ in range(2):
        loop.resolve(loop.wait())

    assert scheduler.updated == [(0, 0), (1, 1)]


def test_a_wait_that_was_interrupted_can_be_taken_up_again(make_loop):
    loop, scheduler, executor = make_loop(1)
    loop.launch()
    interrupted = executor.futures[0]
    interrupted.result = lambda timeout: (_ for _ in ()).throw(KeyboardInterrupt)

    with pytest.raises(KeyboardInterrupt):
        loop.wait()
    del interrupted.result
    executor.end(0)
    loop.resolve(loop.wait())

    assert scheduler.updated == [(0, 0)]


def test_a_step_over_its_time_names_itself_and_the_setting(make_loop):
    loop, _, _ = make_loop(1, step_timeout_s=0.01)
    loop.launch()

    with pytest.raises(WorkerError, match=r"step 0 .*step_timeout_s = 0\.01"):
        loop.wait()


def test_a_timeout_that_the_worker_raised_is_told_as_its_own(make_loop):
    loop, _, executor = make_loop(1, step_timeout_s=5.0)
    loop.launch()
    executor.futures[0].set_exception(TimeoutError("of the worker"))

    with pytest.raises(EngineError, match="TimeoutError: of the worker"):
        loop.wait()


def test_a_scheduler_that_plans_nothing_for_its_requests_is_reported(make_loop):
    loop, _, _ = make_loop(0)

    with pytest.raises(EngineError, match="1 requests wait.*no step can be planned"):
        loop.launch()


def test_without_requests_nothing_is_launched(make_loop):
    loop, scheduler, _ = make_loop(0)
    scheduler.has_unfinished = False

    assert not loop.launch()


class Scripted(HeldExecutor):
    def __init__(self, submit):
        super().__init__()
        self.act = submit

    def submit(self, plan):
        return self.act()


def raises():
    raise RuntimeError("no wire")


def exits():
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("submit", "told"),
    [
        (lambda: 5, r"submit\(\) must return a Future, got 5"),
        (raises, "RuntimeError: no wire"),
        (exits, "SystemExit: 0"),
    ],
)
def test_an_executor_that_fails_to_submit_is_named(make_loop, submit, told):
    loop, _, _ = make_loop(1, executor=Scripted(submit), executor_name="acme")

    with pytest.raises(EngineError, match=f"acme failed to submit step 0: .*{told}"):
        loop.launch()


def test_a_result_that_is_none_names_the_executor(make_loop):
    loop, _, executor = make_loop(1, executor_name="acme")
    loop.launch()
    executor.futures[0].set_result("garbage")

    with pytest.raises(
        EngineError, match="acme failed to finish step 0: .*StepResult, got 'garbage'"
    ):
        loop.wait()


def test_whom_a_long_wait_is_for_is_told_again_and_again(make_loop, caplog):
    loop, _, _ = make_loop(1, step_timeout_s=0.1, patience_s=0.02, executor_name="acme")
    loop.launch()

    with pytest.raises(WorkerError):
        loop.wait()

    assert caplog.text.count("s for acme to finish step 0") >= 2
