import pytest

from jackfield.errors import EngineError, WorkerError
from jackfield.executor.pending import PendingSteps
from jackfield.step import StepResult


def test_a_step_is_done_when_all_ranks_are():
    steps = PendingSteps(2)
    future = steps.open(0)

    steps.complete(0, None)
    assert not future.done()
    steps.complete(0, StepResult(step_id=0, token_ids=[7]))

    assert future.result().token_ids == [7]


def test_the_result_is_that_of_the_output_rank_whoever_is_last():
    steps = PendingSteps(2)
    future = steps.open(0)

    steps.complete(0, StepResult(step_id=0, token_ids=[7]))
    steps.complete(0, None)

    assert future.result().token_ids == [7]


def test_without_an_output_rank_the_step_fails():
    steps = PendingSteps(1)
    future = steps.open(0)

    steps.complete(0, None)

    with pytest.raises(EngineError, match="output rank"):
        future.result()


def test_a_failure_reaches_open_and_later_steps_and_the_first_one_stands():
    steps = PendingSteps()
    futures = [steps.open(0), steps.open(1)]

    steps.fail(WorkerError("first"))
    steps.fail(WorkerError("second"))
    steps.complete(0, StepResult(step_id=0, token_ids=[]))

    for future in [*futures, steps.open(2)]:
        with pytest.raises(WorkerError, match="first"):
            future.result()


def test_a_step_on_its_way_cannot_be_cancelled():
    assert not PendingSteps().open(0).cancel()
