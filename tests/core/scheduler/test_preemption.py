import pytest

from jackfield.request import FinishReason
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.policies import PriorityPolicy


def make_full(make_engine, **values):
    """Two requests that fill four blocks of two tokens; each then needs one more."""
    settings = {"num_blocks": 4, "block_size": 2, "max_length": 8, "prefix_caching": False}
    engine = make_engine(**{**settings, **values})
    return engine, engine.add(4, max_tokens=4), engine.add(4, max_tokens=4)


def preempt(engine, request):
    """Preempt a request although no other request needs its blocks."""
    engine.scheduler._preemption.preempt(PlanBuilder(0, engine.scheduler._next_step_id), request)


def test_a_full_pool_preempts_the_newest_request(make_engine):
    engine, old, new = make_full(make_engine)
    engine.step()  # both prompts fill the pool
    row_of_new = new.row

    plan = engine.plan()

    assert (plan.rows, plan.removed_rows) == ([old.row], [row_of_new])
    assert (new.row, new.num_preemptions, old.num_preemptions) == (-1, 1, 0)
    assert new.num_planned == 0


def test_a_preempted_request_ends_with_the_same_tokens(make_engine, expected):
    engine, old, new = make_full(make_engine)

    engine.run()

    assert new.num_preemptions > 0
    assert [r.output_token_ids for r in (old, new)] == [expected(r)[0] for r in (old, new)]


def test_the_least_urgent_request_makes_room_under_the_priority_policy(make_engine):
    engine = make_engine(
        num_blocks=4, block_size=2, max_length=8, prefix_caching=False, policy=PriorityPolicy()
    )
    lazy, urgent = engine.add(4, priority=5), engine.add(4, priority=1)
    engine.step()

    engine.plan()

    assert (lazy.num_preemptions, urgent.num_preemptions) == (1, 0)


def test_a_request_rather_waits_for_blocks_that_are_about_to_return(make_engine):
    engine = make_engine(num_blocks=5, block_size=2, max_length=10, prefix_caching=False, depth=2)
    running, ending = engine.add(4, max_tokens=4), engine.add(5, max_tokens=1)
    engine.plan()

    plan = engine.plan()  # the second request drains; its blocks come back with its result

    assert plan is None
    engine.run()
    assert running.num_preemptions == ending.num_preemptions == 0


def test_a_token_in_flight_is_kept_when_its_request_was_preempted(make_engine):
    engine, _, new = make_full(make_engine, depth=2)
    engine.plan()
    engine.plan()  # nothing was resolved: the first token of `new` is still on the worker
    assert (new.num_preemptions, new.num_output_tokens) == (1, 0)

    engine.resolve()

    assert new.num_output_tokens == 1


def test_a_preempted_request_comes_back_only_when_nothing_of_it_is_in_flight(make_engine, expected):
    engine = make_engine(depth=3)
    request = engine.add(4, max_tokens=4)
    engine.plan()
    engine.plan()
    preempt(engine, request)  # although there is room for it

    assert engine.plan() is None
    engine.resolve()
    assert engine.plan() is None
    engine.resolve()

    assert engine.plan().new_rows[0].token_ids == tuple(request.token_ids)
    engine.run()
    assert request.output_token_ids == expected(request)[0]


def test_what_was_planned_for_a_victim_is_withdrawn(make_engine):
    engine = make_engine(
        num_blocks=5, block_size=2, max_length=8, prefix_caching=False, policy=PriorityPolicy()
    )
    lazy = engine.add(3, priority=5)
    engine.step()
    urgent = engine.add(4, priority=1)
    engine.step()

    plan = engine.plan()  # both need a block; the last free one went to `lazy`, which came first

    assert lazy.num_preemptions == 1
    assert [append.row for append in plan.new_blocks] == plan.rows == [urgent.row]


def test_a_chunk_that_was_planned_for_a_victim_is_withdrawn(make_engine):
    engine = make_engine(
        windows=(5,), num_blocks=7, block_size=2, long_prefill_tokens=4, policy=PriorityPolicy()
    )
    lazy = engine.add(20, priority=5)
    engine.step()
    urgent = engine.add(20, priority=1)
    engine.step()

    plan = engine.plan()  # each needs two blocks more; three are free

    assert lazy.num_preemptions == 1
    assert (plan.rows, plan.num_tokens) == ([urgent.row], [4])


def test_nobody_is_admitted_while_a_running_request_waits_for_blocks(make_engine):
    engine = make_engine(windows=(5,), num_blocks=6, block_size=2, depth=2)
    engine.add(30)
    engine.plan()
    engine.plan()
    engine.resolve()
    small = engine.add(1)
    assert engine.blocks.num_free == 1  # the next chunk needs three

    assert engine.plan() is None

    assert small.row == -1


def test_a_preempted_request_can_end_by_a_token_that_was_in_flight(make_engine, expected):
    engine = make_engine(num_blocks=4, block_size=2, max_length=8, prefix_caching=False, depth=2)
    engine.add(4, max_tokens=4)
    new = engine.add(4, max_tokens=4)
    new.stop_ids = frozenset({expected(new)[0][0]})
    engine.plan()
    engine.plan()
    assert new.num_preemptions == 1

    assert new in engine.resolve()

    assert new.finish_reason is FinishReason.STOP
    assert engine.scheduler.num_waiting == 0


def test_a_preempted_request_is_told_apart_into_prompt_and_output(make_engine):
    engine, old, new = make_full(make_engine)
    engine.step()
    engine.step()
    engine.scheduler.finish(old, FinishReason.ABORT)

    (row,) = engine.plan().new_rows

    assert (row.num_prompt_tokens, len(row.token_ids)) == (4, 4 + new.num_output_tokens)


def test_a_preempted_request_goes_on_from_what_the_cache_still_has(make_engine):
    engine = make_engine(num_blocks=6, block_size=2, max_length=12)
    old, new = engine.add(6, max_tokens=4), engine.add(6, max_tokens=4)
    engine.step()
    engine.step()
    assert new.num_preemptions == 1
    engine.scheduler.finish(old, FinishReason.ABORT)

    (row,) = engine.plan().new_rows

    assert row.num_computed > 0


def test_nobody_is_admitted_in_a_step_that_preempts(make_engine):
    engine, _, new = make_full(make_engine)
    engine.step()
    small = engine.add(1, max_tokens=1)

    engine.plan()

    assert (new.num_preemptions, small.row) == (1, -1)


def test_the_prompt_of_a_preempted_request_counts_once(make_engine):
    engine, *_ = make_full(make_engine)

    engine.run()

    assert engine.scheduler.stats.num_prompt_tokens == 8
    assert engine.scheduler.stats.num_preemptions > 0


def test_prompt_log_probabilities_start_again_after_a_preemption_in_the_prompt(make_engine):
    engine = make_engine(max_step_tokens=4)
    request = engine.add(6, prompt_logprobs=1)
    engine.plan()
    request.prompt_logprobs.append("of the first chunk")
    engine.resolve()
    preempt(engine, request)

    engine.plan()

    assert request.prompt_logprobs == [None]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("windows", [(None,), (None, 3), (3,)], ids=str)
def test_a_storm_of_preemptions_ends_with_the_right_tokens(make_engine, expected, depth, windows):
    num_blocks = [3 if window else 12 for window in windows]
    engine = make_engine(
        windows=windows, num_blocks=num_blocks, block_size=2, max_length=24, depth=depth
    )
    requests = [engine.add(5, max_tokens=19) for _ in range(6)]

    engine.run()

    assert sum(request.num_preemptions for request in requests) > 5
    assert [r.output_token_ids for r in requests] == [expected(r)[0] for r in requests]
    engine.check_all_returned()
