import pytest

from jackfield.request import FinishReason
from jackfield.scheduler.request import Stage

PROMPT = list(range(100, 110))  # two and a half blocks of four tokens


def add_siblings(engine, n, prompt=PROMPT, **sampling):
    parent = engine.request(prompt, **sampling)
    children = [
        engine.request(prompt, parent=parent, seed=number, **sampling) for number in range(1, n)
    ]
    requests = [parent, *children]
    engine.scheduler.add(*requests)
    engine.requests += requests
    return requests


# Prefix hits


def test_a_second_request_computes_only_what_is_new(make_engine, expected):
    engine = make_engine()
    engine.add(PROMPT, max_tokens=1)
    engine.run()
    second = engine.add(PROMPT, max_tokens=3)

    assert list(engine.plan().num_tokens) == [2]
    engine.run()

    assert (second.num_cached_tokens, second.output_token_ids) == (8, expected(second)[0])


def test_an_answer_is_a_prefix_of_the_next_turn(make_engine):
    engine = make_engine()
    first = engine.add(PROMPT, max_tokens=7)  # 16 of 17 tokens were computed
    engine.run()

    second = engine.add([*first.token_ids, 1, 2, 3])
    engine.plan()

    assert second.num_cached_tokens == 16


def test_a_full_hit_computes_the_last_token_in_a_copy_of_the_shared_tail(make_engine, expected):
    engine = make_engine()
    first = engine.add(PROMPT[:8], max_tokens=6)
    engine.step()
    second = engine.add(PROMPT[:8], max_tokens=6, seed=1)

    plan = engine.plan()

    assert [copy.source for copy in plan.copies] == [first.table.block_ids[0][1]]
    assert (second.num_cached_tokens, plan.num_tokens[-1]) == (7, 1)
    engine.run()
    assert second.output_token_ids == expected(second)[0]


def test_blocks_of_a_step_in_flight_are_not_hit(make_engine):
    engine = make_engine(depth=2)
    engine.add(PROMPT)
    engine.plan()
    second = engine.add(PROMPT)

    engine.plan()

    assert second.num_cached_tokens == 0


def test_the_blocks_of_an_aborted_prompt_are_hit(make_engine):
    engine = make_engine(depth=2, max_step_tokens=8)
    first = engine.add(PROMPT)
    engine.plan()
    engine.scheduler.finish(first, FinishReason.ABORT)
    engine.resolve()

    second = engine.add(PROMPT)
    engine.plan()

    assert second.num_cached_tokens == 8


# Siblings


def test_siblings_wait_for_the_prompt_of_the_first(make_engine):
    engine = make_engine(max_step_tokens=6, depth=3)
    parent, child = add_siblings(engine, 2)

    assert engine.plan().rows == [parent.row]  # the first six tokens
    engine.plan()  # the last four
    assert child.row == -1
    engine.plan()

    assert child.row != -1


def test_a_sibling_that_comes_while_the_prompt_is_computed_waits_for_it_too(make_engine):
    engine = make_engine(max_step_tokens=6, prefix_caching=False)
    parent = engine.add(PROMPT)
    engine.step()
    child = engine.add(PROMPT, parent=parent)

    engine.step()  # there is budget for two tokens of the child
    assert child.row == -1
    engine.step()

    assert child.num_cached_tokens == len(PROMPT) - 1


def test_siblings_share_all_full_blocks_and_copy_the_partial_tail(make_engine):
    engine = make_engine(depth=2, prefix_caching=False)
    parent, child, other = add_siblings(engine, 3)
    engine.plan()

    plan = engine.plan()  # while the prompt is still in flight

    tables = [request.table.block_ids[0] for request in (parent, child, other)]
    assert tables[0][:2] == tables[1][:2] == tables[2][:2]
    assert len({table[2] for table in tables}) == 3
    assert [copy.source for copy in plan.copies] == [tables[0][2]] * 2
    assert plan.num_tokens == [1, 1, 1]


def test_siblings_compute_the_prompt_once(make_engine):
    engine = make_engine(prefix_caching=False)
    add_siblings(engine, 4, max_tokens=3)

    engine.run()

    first_tokens, later_tokens = len(PROMPT) + 3, 4 * 2
    assert engine.worker.num_computed_tokens == first_tokens + later_tokens
    assert engine.scheduler.stats.num_cached_tokens == 3 * (len(PROMPT) - 1)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 4, 5, 8, 9])
@pytest.mark.parametrize("windows", [(None,), (None, 3)], ids=str)
def test_siblings_get_their_own_tokens(make_engine, expected, depth, length, windows):
    engine = make_engine(windows=windows, depth=depth, prefix_caching=False)
    requests = add_siblings(engine, 3, PROMPT[:length], max_tokens=9)

    engine.run()

    assert [r.output_token_ids for r in requests] == [expected(r)[0] for r in requests]
    engine.check_all_returned()


def test_a_sibling_whose_parents_window_has_moved_on_computes_the_prompt(make_engine, expected):
    engine = make_engine(windows=(None, 3), max_rows=2, prefix_caching=False)
    busy = engine.add(2, max_tokens=12)
    parent, child = add_siblings(engine, 2, max_tokens=20)
    while not busy.is_finished:  # no row is free for the child
        engine.step()
    assert not parent.is_finished

    engine.run()

    assert (child.num_cached_tokens, child.output_token_ids) == (0, expected(child)[0])


@pytest.mark.parametrize("num_steps", range(4))
def test_siblings_outlive_an_aborted_parent(make_engine, expected, num_steps):
    engine = make_engine(max_step_tokens=4, depth=2)
    parent, child = add_siblings(engine, 2, max_tokens=4)
    for _ in range(num_steps):
        engine.step()

    engine.scheduler.finish(parent, FinishReason.ABORT)
    engine.run()

    assert child.output_token_ids == expected(child)[0]
    engine.check_all_returned()


def test_a_held_sibling_can_be_aborted(make_engine):
    engine = make_engine()
    _, child, other = add_siblings(engine, 3, max_tokens=3)

    engine.scheduler.finish(child, FinishReason.ABORT)
    engine.run()

    assert (child.num_output_tokens, other.num_output_tokens) == (0, 3)
    assert child.stage is Stage.FINISHED
    engine.check_all_returned()


def test_held_siblings_count_as_waiting(make_engine):
    engine = make_engine()
    add_siblings(engine, 3)
    assert engine.scheduler.num_waiting == 3

    engine.plan()

    assert engine.scheduler.num_waiting == 2
