import gc
import threading
import time

import pytest

from jackfield.errors import CheckpointError, EngineClosedError, WorkerError
from jackfield.executor.inline import InlineExecutor, InlineExecutorFactory
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.step import LateInputs, StepPlan, TokenMasks


@pytest.fixture
def start(make_context, opened):
    def start_(**options):
        executor = opened(InlineExecutor(make_context(**options)))
        executor.start()
        executor.allocate((4,))
        return executor

    return start_


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name == "jackfield-worker"]


def scripted_workers():
    """All that are alive in this process, which other tests share."""
    gc.collect()
    return [x for x in gc.get_objects() if type(x).__name__ == "ScriptedWorker"]


def test_the_worker_lives_on_one_thread(start):
    result = start().submit(StepPlan(step_id=0)).result(5)

    rank, num_threads = result.token_ids
    assert (rank, num_threads) == (0, 1)


def test_submit_returns_while_the_step_runs(start):
    executor = start(step1="sleep")

    began_s = time.monotonic()
    future = executor.submit(StepPlan(step_id=0))
    submit_s = time.monotonic() - began_s

    assert submit_s < 0.1
    assert future.result(5).step_id == 0


def test_futures_resolve_in_order(start):
    executor, order = start(step1="sleep"), []

    futures = [executor.submit(StepPlan(step_id=number)) for number in range(3)]
    for future in futures:
        future.add_done_callback(lambda done: order.append(done.result().step_id))
    futures[-1].result(5)

    assert order == [0, 1, 2]


def test_late_inputs_reach_the_step_that_awaits_them(start):
    executor = start()
    future = executor.submit(StepPlan(step_id=0, awaits_late=True))
    assert not future.done()

    executor.sample(0, LateInputs(masks=TokenMasks([1, 2], bytes(8))))

    assert future.result(5).token_ids == [2]


def test_an_exception_poisons_open_and_later_steps_with_its_traceback(start):
    executor = start(step2="raise")
    futures = [executor.submit(StepPlan(step_id=number)) for number in range(3)]

    assert futures[0].result(5).step_id == 0
    for future in [*futures[1:], executor.submit(StepPlan(step_id=9))]:
        with pytest.raises(WorkerError, match="RuntimeError: scripted at step2") as caught:
            future.result(5)
        assert "in _act" in caught.value.worker_traceback
        assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_worker_that_calls_exit_ends_no_more_than_itself(start):
    with pytest.raises(WorkerError, match="SystemExit: 3"):
        start(step1="exit").submit(StepPlan(step_id=0)).result(5)


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        ("raise", WorkerError, "RuntimeError: scripted at load"),
        ("raise_on_purpose", CheckpointError, "model.bin"),
    ],
)
def test_errors_of_the_start_come_out(make_context, opened, action, error, words):
    executor = opened(InlineExecutor(make_context(load=action)))

    with pytest.raises(error, match=words):
        executor.start()


def test_a_worker_that_hangs_at_the_start_is_given_up_with_its_stack(make_context, opened):
    context = make_context(load="sleep", start_timeout_s=0.1)

    with pytest.raises(WorkerError, match=r"(?s)start_timeout_s = 0\.1.*in load"):
        opened(InlineExecutor(context)).start()


def test_close_ends_the_thread_and_the_worker(start, tmp_path):
    executor = start()

    executor.close()
    executor.close()

    assert (tmp_path / "closed0").exists()
    assert worker_threads() == []
    with pytest.raises(EngineClosedError):
        executor.submit(StepPlan(step_id=0)).result(5)


def test_a_failed_worker_is_closed_too(start, tmp_path):
    executor = start(step1="raise")
    with pytest.raises(WorkerError):
        executor.submit(StepPlan(step_id=0)).result(5)

    executor.close()

    assert (tmp_path / "closed0").exists()


def test_the_error_of_a_failed_worker_does_not_keep_it_alive(start):
    of_others = scripted_workers()
    executor = start(step1="raise")
    error = executor.submit(StepPlan(step_id=0)).exception(5)
    executor.close()

    assert isinstance(error.__cause__, RuntimeError)
    assert len(scripted_workers()) == len(of_others)


def test_a_worker_that_raises_in_close_is_reported(start, caplog):
    start(close="raise").close()

    assert "raised while it was closed" in caplog.text


def test_an_executor_that_is_dropped_ends_its_thread(make_context):
    executor = InlineExecutor(make_context())
    executor.start()

    del executor
    gc.collect()

    assert worker_threads() == []


def test_an_executor_that_never_started_can_be_closed(make_context):
    InlineExecutor(make_context()).close()


def test_the_card_declares_one_rank_only(make_context):
    card = InlineExecutorFactory()

    assert "executor.num_ranks" not in card.features
    assert card.check(ExecutorNeed(platform="scripted"), {}) == ()
    assert card.create(make_context()).depth == 2
