import time
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from jackfield.errors import EngineError
from jackfield.sampling import SamplingParams
from jackfield.step import LateInputs, NewRow, StepPlan, TokenMasks
from jackfield_testing.faults import BooksError, PlannedFault
from jackfield_testing.models import tiny_spec
from jackfield_testing.oracle import reference_tokens

PROMPT = (5, 6, 7)
GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
NEVER_S = 3600.0


def first_plan(**fields):
    row = NewRow(
        row=0,
        token_ids=PROMPT,
        num_prompt_tokens=3,
        num_computed=0,
        block_ids=([0, 1, 2],),
        sampling=GREEDY,
        seed=0,
    )
    fields = {"step_id": 0, "num_tokens": [3], **fields}
    return StepPlan(new_rows=[row], rows=[0], samples=[True], **fields)


def decode_plan(step_id, **fields):
    return StepPlan(step_id=step_id, rows=[0], num_tokens=[1], samples=[True], **fields)


def expected():
    return reference_tokens(PROMPT, GREEDY, tiny_spec())


def tokens(futures):
    return [future.result(5).token_ids[0] for future in futures]


def test_at_depth_one_a_result_is_there_at_once(make_worker):
    future = make_worker(depth=1).submit(first_plan())

    assert future.done()


@pytest.mark.parametrize("depth", [2, 3])
def test_a_result_waits_for_the_steps_behind_it(make_worker, depth):
    worker = make_worker(depth=depth, idle_s=NEVER_S)

    futures = [worker.submit(first_plan())]
    futures += [worker.submit(decode_plan(i)) for i in range(1, 4)]

    assert [future.done() for future in futures].count(False) == depth - 1
    assert tokens(futures[: 5 - depth]) == expected()[: 5 - depth]


def test_a_result_comes_although_no_step_follows(make_worker):
    future = make_worker(depth=3).submit(first_plan())

    assert tokens([future]) == expected()[:1]


def test_results_resolve_in_the_order_of_submission(make_worker):
    worker, order = make_worker(depth=3), []

    futures = [worker.submit(first_plan())]
    futures += [worker.submit(decode_plan(i)) for i in range(1, 8)]
    for future in futures:
        future.add_done_callback(lambda done: order.append(done.result().step_id))
    tokens(futures)

    assert order == list(range(8))


def test_close_resolves_what_is_held(make_worker):
    worker = make_worker(idle_s=NEVER_S)
    future = worker.submit(first_plan())

    worker.close()

    assert future.done()


def test_late_inputs_hold_up_a_step_and_those_behind_it(make_worker):
    worker = make_worker(depth=1)
    mask = bytearray(36)
    mask[42 // 8] = 1 << 42 % 8

    first = worker.submit(first_plan(awaits_late=True))
    second = worker.submit(decode_plan(1))
    before = [first.done(), second.done()]
    worker.sample(0, LateInputs(masks=TokenMasks([0], mask)))

    assert before == [False, False]
    assert tokens([first]) == [42]
    assert second.done()


def test_late_inputs_that_no_step_awaits_are_refused(make_worker):
    with pytest.raises(BooksError, match="step 0, which awaits none"):
        make_worker().sample(0, LateInputs())


def test_it_raises_at_the_planned_step(make_worker):
    worker = make_worker(fault="raise", fault_step=2)
    worker.submit(first_plan())

    with pytest.raises(PlannedFault, match="at step 2"):
        worker.submit(decode_plan(1))


def test_it_fails_late_at_the_planned_step(make_worker):
    worker = make_worker(fault="raise_late", fault_step=2)
    worker.submit(first_plan())
    future = worker.submit(decode_plan(1))

    with pytest.raises(PlannedFault, match="at step 2"):
        future.result(5)


def test_a_fault_concerns_its_rank(make_worker):
    worker = make_worker(depth=1, fault="raise", fault_rank=1)

    assert worker.submit(first_plan()).done()


def test_it_hangs_until_it_is_closed(make_worker):
    worker = make_worker(fault="hang", fault_step=1)
    future = worker.submit(first_plan())

    with pytest.raises(FutureTimeoutError):
        future.result(0.05)
    worker.close()

    with pytest.raises(EngineError, match="hung"):
        future.result(5)


def test_a_slow_step_takes_its_time(make_worker):
    worker = make_worker(depth=1, fault="slow", fault_step=1, fault_s=0.05)
    start_s = time.monotonic()

    worker.submit(first_plan())

    assert time.monotonic() - start_s >= 0.05


def test_a_file_can_say_when_a_fault_happens(make_worker, tmp_path):
    file = tmp_path / "now"
    worker = make_worker(depth=1, fault="raise", fault_file=str(file))

    worker.submit(first_plan()).result(5)
    file.touch()

    with pytest.raises(PlannedFault):
        worker.submit(decode_plan(1))
    assert not file.exists()


def test_every_step_can_be_given_a_least_time(make_worker):
    worker = make_worker(depth=1, step_s=0.02)
    start_s = time.monotonic()

    worker.submit(first_plan())
    worker.submit(decode_plan(1))

    assert time.monotonic() - start_s >= 0.04


def test_loading_fails_when_asked_to(make_worker):
    with pytest.raises(PlannedFault, match="load"):
        make_worker(fault="load")
