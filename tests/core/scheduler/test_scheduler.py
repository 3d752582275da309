import pytest

from jackfield.errors import RequestError
from jackfield.request import FinishReason
from jackfield.step import StepLimits


def rows(plan):
    """(tokens, samples) of each row of a plan."""
    return list(zip(plan.num_tokens, plan.samples, strict=True))


# One budget, no phases


def test_a_prompt_that_fits_the_budget_is_computed_in_one_step(make_engine):
    engine = make_engine()
    engine.add(10)

    assert rows(engine.plan()) == [(10, True)]


def test_a_long_prompt_is_computed_in_chunks_and_sampled_after_the_last(make_engine):
    engine = make_engine(max_step_tokens=4, depth=3)
    engine.add(10)

    assert [rows(engine.plan()) for _ in range(3)] == [[(4, False)], [(4, False)], [(2, True)]]


def test_a_decode_row_comes_before_chunks_and_takes_one_token_of_the_budget(make_engine):
    engine = make_engine(max_step_tokens=8)
    engine.add(3)
    engine.step()
    engine.add(20)

    assert rows(engine.plan()) == [(1, True), (7, False)]


def test_what_a_prompt_leaves_of_the_budget_goes_to_the_next(make_engine):
    engine = make_engine(max_step_tokens=8)
    engine.add(5)
    engine.add(5)

    assert rows(engine.plan()) == [(5, True), (3, False)]


def test_no_chunk_is_longer_than_the_cap_for_long_prefills(make_engine):
    engine = make_engine(max_step_tokens=16, long_prefill_tokens=5)
    engine.add(9)
    engine.add(9)

    assert rows(engine.plan()) == [(5, False), (5, False)]


def test_a_token_that_is_still_on_the_worker_is_planned_like_any_other(make_engine):
    engine = make_engine(depth=3)
    engine.add(3)

    assert [rows(engine.plan()) for _ in range(3)] == [[(3, True)], [(1, True)], [(1, True)]]


def test_nothing_is_planned_beyond_the_last_token(make_engine):
    engine = make_engine(depth=3)
    engine.add(3, max_tokens=2)

    assert [engine.plan() is None for _ in range(3)] == [False, False, True]


def test_a_prompt_that_began_goes_on_before_a_new_one_is_admitted(make_engine):
    engine = make_engine(max_step_tokens=4)
    first, second = engine.add(8), engine.add(4)
    engine.step()

    plan = engine.plan()

    assert plan.rows == [first.row]
    assert second.row == -1


# Admission


def test_no_more_rows_are_filled_than_the_settings_allow(make_engine):
    engine = make_engine(max_rows=2)
    for _ in range(3):
        engine.add(2)

    assert len(engine.plan().rows) == 2
    assert engine.scheduler.num_waiting == 1


def test_the_limits_of_the_worker_hold_too(make_engine):
    engine = make_engine(limits=StepLimits(max_rows=3, max_step_tokens=5))
    for _ in range(4):
        engine.add(2)

    assert rows(engine.plan()) == [(2, True), (2, True), (1, False)]


def test_there_are_never_more_rows_than_tokens_in_a_step(make_engine):
    engine = make_engine(max_step_tokens=2)
    for _ in range(3):
        engine.add(1)
    engine.step()
    engine.step()

    assert engine.scheduler.num_running == 2


def test_a_prompt_waits_until_all_of_it_fits(make_engine):
    engine = make_engine(num_blocks=6, max_length=24)
    engine.add(8, max_tokens=1)
    waiting = engine.add(20, max_tokens=4)

    engine.step()
    assert waiting.row == -1
    engine.step()

    assert waiting.row != -1


def test_a_request_that_does_not_fit_is_not_overtaken(make_engine):
    engine = make_engine(num_blocks=6, max_length=24)
    engine.add(8)
    engine.add(20, max_tokens=4)
    small = engine.add(1)

    engine.step()

    assert small.row == -1


def test_the_watermark_is_kept_free_while_others_run(make_engine):
    engine = make_engine(num_blocks=10, watermark=0.2, max_length=36)
    engine.add(4)
    engine.add(29)  # 8 of the 9 blocks that are free

    assert len(engine.plan().rows) == 1


def test_the_watermark_does_not_keep_out_a_request_that_would_run_alone(make_engine):
    engine = make_engine(num_blocks=10, watermark=0.5)
    engine.add(33, max_tokens=8)

    assert len(engine.plan().rows) == 1


def test_a_request_that_cannot_fit_yet_is_not_looked_up_in_every_step(make_engine, monkeypatch):
    engine = make_engine(num_blocks=6, max_length=24)
    engine.add(5, max_tokens=8)
    engine.add(20, max_tokens=4)
    searches = []
    find = engine.blocks.find_prefix
    monkeypatch.setattr(
        engine.blocks, "find_prefix", lambda *args: searches.append(args) or find(*args)
    )

    for _ in range(7):
        engine.step()

    assert len(searches) == 2  # of each request when it came


def test_a_request_that_did_not_fit_is_admitted_when_blocks_come_free(make_engine):
    engine = make_engine(num_blocks=6, max_length=24)
    engine.add(1, max_tokens=8)
    engine.add(9, max_tokens=1)
    waiting = engine.add(9, max_tokens=1)
    engine.step()
    assert waiting.row == -1

    engine.plan()

    assert waiting.row != -1


# Refusals


def test_a_full_queue_refuses_a_request_and_names_the_limit(make_engine):
    engine = make_engine(max_waiting=1)
    engine.add(2)

    with pytest.raises(RequestError, match=r"scheduler\.max_waiting is 1"):
        engine.add(2)


def test_running_requests_do_not_count_as_waiting(make_engine):
    engine = make_engine(max_waiting=1)
    engine.add(2)
    engine.step()

    engine.add(2)

    assert engine.scheduler.num_waiting == 1


def test_siblings_are_queued_all_or_none(make_engine):
    engine = make_engine(max_waiting=2)
    parent = engine.request(2)
    siblings = [engine.request(parent.token_ids, parent=parent) for _ in range(2)]

    with pytest.raises(RequestError, match="brings 3 outputs"):
        engine.scheduler.add(parent, *siblings)

    assert engine.scheduler.num_waiting == 0


def test_a_request_that_the_cache_can_never_hold_is_refused_with_what_would_fit(make_engine):
    engine = make_engine(num_blocks=3, block_size=4, max_length=64)

    with pytest.raises(RequestError, match="at most 8 new tokens"):
        engine.add(5, max_tokens=9)

    engine.add(5, max_tokens=8)
    engine.run()


def test_a_prompt_that_the_cache_can_never_hold_must_get_shorter(make_engine):
    engine = make_engine(num_blocks=3, block_size=4, max_length=64)

    with pytest.raises(RequestError, match="shorten the prompt"):
        engine.add(13, max_tokens=1)


@pytest.mark.parametrize("length", [0, 16, 17])
def test_a_prompt_without_room_for_a_token_is_refused(make_engine, length):
    engine = make_engine(max_length=16)

    with pytest.raises(RequestError, match="1 to 15"):
        engine.add([1] * length)


# Windows


def test_a_window_group_serves_a_prompt_far_longer_than_its_pool(make_engine, expected):
    engine = make_engine(windows=(None, 5), num_blocks=(16, 3), depth=2)
    request = engine.add(50, max_tokens=14)

    engine.run()

    assert (request.output_token_ids, request.finish_reason) == expected(request)
    engine.check_all_returned()


# Finishing from outside


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("num_steps", range(6))
def test_an_abort_at_any_moment_gives_everything_back(make_engine, expected, depth, num_steps):
    engine = make_engine(depth=depth, max_step_tokens=4)
    aborted, other = engine.add(9, max_tokens=5), engine.add(3, max_tokens=20)
    for _ in range(num_steps):
        engine.step()

    engine.scheduler.finish(aborted, FinishReason.ABORT)
    num_tokens = len(aborted.token_ids)
    engine.run()

    assert (aborted.finish_reason, len(aborted.token_ids)) == (FinishReason.ABORT, num_tokens)
    assert (other.output_token_ids, other.finish_reason) == expected(other)
    engine.check_all_returned()


def test_a_request_can_be_aborted_between_two_plans_in_flight(make_engine):
    engine = make_engine(depth=2)
    request = engine.add(3)
    engine.plan()
    engine.plan()
    row = request.row

    engine.scheduler.finish(request, FinishReason.ABORT)
    engine.resolve()
    engine.resolve()
    engine.add(2)

    assert row in engine.plan().removed_rows


def test_a_freed_row_is_used_again_in_the_plan_that_removes_it(make_engine, expected):
    engine = make_engine(depth=2, max_rows=1)
    first = engine.add(3)
    engine.plan()
    row = first.row
    engine.scheduler.finish(first, FinishReason.ABORT)
    second = engine.add(3, max_tokens=4)

    plan = engine.plan()  # while the first plan is still in flight

    assert (list(plan.removed_rows), plan.new_rows[0].row) == ([row], row)
    engine.run()
    assert second.output_token_ids == expected(second)[0]


def test_the_first_reason_to_finish_stays(make_engine):
    engine = make_engine()
    request = engine.add(3)
    engine.scheduler.finish(request, FinishReason.STOP, "the end")

    engine.scheduler.finish(request, FinishReason.ABORT)

    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, "the end")


def test_a_waiting_request_can_be_aborted(make_engine):
    engine = make_engine(max_rows=1)
    engine.add(3, max_tokens=2)
    waiting = engine.add(3)
    engine.step()

    engine.scheduler.finish(waiting, FinishReason.ABORT)

    assert engine.scheduler.num_waiting == 0
    engine.run()
    engine.check_all_returned()


# Figures


def test_the_stats_tell_what_runs_and_what_was_cached(make_engine):
    engine = make_engine(num_blocks=10, block_size=4, max_rows=1, max_length=32)
    prompt = list(range(8))
    engine.add(prompt, max_tokens=1)
    engine.run()
    engine.add([*prompt, 9])
    engine.add(3)
    engine.plan()

    stats = engine.scheduler.stats

    assert (stats.num_running, stats.num_waiting, stats.num_in_flight) == (1, 1, 1)
    assert (stats.num_prompt_tokens, stats.num_cached_tokens) == (17, 8)
    assert stats.cache_usage == 0.3
