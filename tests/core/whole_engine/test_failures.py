"""An error of a request ends that request. An error of a worker ends the engine and is its cause. Nothing hangs."""

import threading
import time

import pytest

from jackfield.errors import EngineClosedError, RequestError, WorkerError
from jackfield.request import FinishReason
from jackfield_testing.faults import PlannedFault
from jackfield_testing.worker import DIE_STATUS

pytestmark = pytest.mark.core_model

BAD_TOKEN = 200
DEPTHS = [
    pytest.param(1, marks=pytest.mark.thorough),
    pytest.param(2, marks=pytest.mark.thorough),
    3,
]
# The step at which a worker fails.
STEPS = [
    pytest.param(1, marks=pytest.mark.thorough),
    2,
    pytest.param(5, marks=pytest.mark.thorough),
]
MULTIPROCESS = {"select.executor": "multiprocess", "executor.tensor_parallel": 2}
EXECUTORS = [
    pytest.param({}, id="inline"),
    pytest.param(MULTIPROCESS, id="multiprocess", marks=pytest.mark.distributed),
]
EXECUTORS_AND_DEPTHS = [
    pytest.param({}, 1, id="inline, depth 1", marks=pytest.mark.thorough),
    pytest.param({}, 2, id="inline, depth 2", marks=pytest.mark.thorough),
    pytest.param({}, 3, id="inline, depth 3"),
    pytest.param(MULTIPROCESS, 2, id="multiprocess", marks=pytest.mark.distributed),
]


def fault(**options):
    return {f"options.reference.{name}": value for name, value in options.items()}


def ask_some(driver, count=4, **sampling):
    return [
        driver.ask([number] * (5 + 7 * number), ignore_eos=True, **sampling)
        for number in range(count)
    ]


def check_others(driver, failed):
    """All but `failed` are right; the books balance."""
    for request_id in failed:
        del driver.asked[request_id]
    driver.check()


@pytest.mark.parametrize(("executor", "depth"), EXECUTORS_AND_DEPTHS)
@pytest.mark.parametrize("position", [0, 5, 11])
def test_a_prompt_that_fails_ends_alone(open_engine, executor, depth, position):
    """The error comes with the first, a middle or the last chunk of the prompt."""
    driver = open_engine(
        (None, 6),
        **{"executor.depth": depth, "scheduler.max_step_tokens": 6},
        **executor,
        **fault(error_token_id=BAD_TOKEN),
    )
    ask_some(driver)
    bad = driver.ask([1] * position + [BAD_TOKEN] + [1] * (11 - position))
    ask_some(driver)

    driver.run()

    (output,) = driver.outputs[bad].outputs
    assert output.finish_reason is FinishReason.ERROR
    assert "error_token_id = 200" in output.error
    assert output.token_ids == []
    check_others(driver, [bad])


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_sibling_fails_with_the_prompt_or_is_right(open_engine, depth):
    """A sibling that had taken over the computed prompt before the error was known goes on."""
    driver = open_engine(**{"executor.depth": depth}, **fault(error_token_id=BAD_TOKEN))
    bad = driver.ask([1, 2, 3, BAD_TOKEN], n=3, temperature=1.0, seed=0, ignore_eos=True)

    driver.run()

    first, *others = driver.outputs[bad].outputs
    assert first.finish_reason is FinishReason.ERROR
    for output in others:
        if output.finish_reason is not FinishReason.ERROR:
            assert tuple(output.token_ids) == driver.expected(bad, output.index).token_ids
    driver.check_books()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("position", range(8, 20))
def test_a_request_that_fails_while_it_decodes_keeps_its_tokens(open_engine, depth, position):
    driver = open_engine(**{"executor.depth": depth}, **fault(error_position=position))
    short = driver.ask([1], max_tokens=5)
    long = driver.ask([2] * 8, max_tokens=30, ignore_eos=True)

    driver.run()

    (output,) = driver.outputs[long].outputs
    expected = driver.expected(long).token_ids
    assert output.finish_reason is FinishReason.ERROR
    assert tuple(output.token_ids) == expected[: position - 8 + 1][: len(output.token_ids)]
    assert len(output.token_ids) == position - 7
    assert driver.outputs[short].outputs[0].finish_reason is not FinishReason.ERROR
    check_others(driver, [long])


def test_a_request_that_can_never_run_is_refused_and_nothing_else_lost(open_engine):
    driver = open_engine(max_length=32)
    ask_some(driver, count=2)

    with pytest.raises(RequestError, match="32"):
        driver.ask([1] * 40)

    driver.run()
    driver.check()


@pytest.mark.parametrize(("executor", "depth"), EXECUTORS_AND_DEPTHS)
@pytest.mark.parametrize("kind", ["raise", "raise_late"])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_raises_ends_the_engine_with_its_traceback(
    open_engine, executor, kind, step, depth
):
    driver = open_engine(
        **{"executor.depth": depth}, **executor, **fault(fault=kind, fault_step=step)
    )
    ask_some(driver)

    with pytest.raises(WorkerError) as caught:
        driver.run()

    assert f"at step {step}" in caught.value.summary
    assert "PlannedFault" in caught.value.worker_traceback
    with pytest.raises(EngineClosedError) as later:
        driver.ask([1])
    assert later.value.__cause__ is caught.value
    with pytest.raises(EngineClosedError):
        driver.step()
    driver.engine.close()


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["die", "raise"])
def test_any_rank_that_ends_ends_the_engine(open_engine, rank, step, kind):
    driver = open_engine(**MULTIPROCESS, **fault(fault=kind, fault_step=step, fault_rank=rank))
    ask_some(driver)

    with pytest.raises(WorkerError, match=f"rank {rank}") as caught:
        driver.run()

    if kind == "die":
        assert str(DIE_STATUS) in str(caught.value)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("step", [1, 4])
def test_a_step_that_hangs_ends_the_engine_after_its_time(open_engine, executor, step):
    driver = open_engine(
        **{"executor.step_timeout_s": 0.2}, **executor, **fault(fault="hang", fault_step=step)
    )
    ask_some(driver)
    start_s = time.monotonic()

    with pytest.raises(WorkerError, match=r"executor\.step_timeout_s = 0\.2"):
        driver.run()

    assert time.monotonic() - start_s < 20


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_slow_step_changes_nothing(open_engine, executor):
    driver = open_engine(**executor, **fault(fault="slow", fault_step=3, fault_s=0.2))
    ask_some(driver)

    driver.run()

    driver.check()


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_cannot_load_leaves_nothing_running(open_engine, executor, rank):
    if rank and not executor:
        rank = 0
    before = threading.active_count()

    with pytest.raises(PlannedFault, match="load"):
        open_engine(**executor, **fault(fault="load", fault_rank=rank))

    assert threading.active_count() == before


def test_a_fault_of_the_books_ends_the_engine_with_what_the_worker_noticed(
    open_engine, monkeypatch
):
    monkeypatch.setattr(
        "jackfield.scheduler.plan_builder.PlanBuilder.append_blocks", lambda self, row, grown: None
    )
    driver = open_engine()
    driver.ask([1] * 8, max_tokens=40, ignore_eos=True)

    with pytest.raises(WorkerError, match="its table of group 0 has 2 blocks"):
        driver.run()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "at the end"])
def test_an_abort_before_any_step_frees_the_blocks_and_leaves_the_others(
    open_engine, windows, depth, stream
):
    driver = open_engine(windows, **{"executor.depth": depth, "scheduler.max_step_tokens": 24})
    for step in range(14):
        ask_some(driver, count=2)
        victim = driver.ask(list(range(30)), n=2, stream=stream, ignore_eos=True)
        ask_some(driver, count=2)

        driver.run(lambda number, step=step, victim=victim: number == step and driver.abort(victim))

        assert driver.abort(victim) is None  # it ended, one way or the other
        driver.check()
