"""Beam searches beside other requests, in little room, cut off at any moment: answers and books are right."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from jackfield import BeamSearch
from jackfield.errors import RequestError
from jackfield.request import FinishReason
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.policies import FcfsPolicy, PriorityPolicy
from jackfield_testing.oracle import reference_search

pytestmark = pytest.mark.core_model

letters = st.sampled_from(list(b"ab!"))
samplings = st.fixed_dictionaries(
    {
        "max_tokens": st.sampled_from([1, 5, 12, 12]),
        "min_tokens": st.sampled_from([0, 0, 3]),
        "stop_token_ids": st.sampled_from([(), tuple(range(0, 256, 9)), tuple(range(0, 256, 3))]),
        "logprobs": st.sampled_from([None, 2]),
    }
)
searches = st.builds(
    BeamSearch,
    width=st.integers(1, 3),
    length_penalty=st.sampled_from([1.0, 0.0, -1.0, 2.0]),
    early_stopping=st.sampled_from([False, True, "never"]),
)
requests = st.fixed_dictionaries(
    {
        "prompt": st.lists(letters, min_size=9, max_size=20),
        "search": st.one_of(st.none(), searches),
        "sampling": samplings,
        "arrives": st.integers(0, 4),
        "leaves": st.one_of(st.none(), st.none(), st.none(), st.integers(0, 15)),
    }
)
loops = st.fixed_dictionaries(
    {
        "windows": st.sampled_from([(None,), (6,), (None, 6), (3, 9)]),
        "num_blocks": st.integers(24, 26),  # 24 are the least for three beams
        "prefix_caching": st.booleans(),
        "max_rows": st.sampled_from([3, 5, 8]),
        "max_step_tokens": st.sampled_from([8, 16]),
        "watermark": st.sampled_from([0.0, 0.2]),
        "depth": st.sampled_from([1, 2, 3]),
        "policy": st.sampled_from([FcfsPolicy(), PriorityPolicy()]),
    }
)


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(values=loops, plan=st.lists(requests, min_size=3, max_size=7))
def test_searches_find_the_best_answers_in_every_schedule(make_loop, values, plan):
    loop = make_loop(**values, options={"verify": True}, max_length=48)
    asked = play(loop, plan)

    for request, outputs in zip(plan, asked, strict=True):
        if outputs[0].finish_reason is not FinishReason.ABORT:
            check(loop, request, outputs)
    assert loop.leaks() == []
    event(f"preempted: {loop.scheduler.stats.num_preemptions > 0}")


def play(loop, plan):
    """Ask and abort at the events that the plan names; the outputs of each request."""
    asked = [None] * len(plan)

    def act(event_number, is_last=False):
        for number, request in enumerate(plan):
            if asked[number] is None and (is_last or request["arrives"] <= event_number):
                asked[number] = ask(loop, request, priority=number % 2)
            leaves = request["leaves"]
            if asked[number] and leaves is not None and event_number >= request["arrives"] + leaves:
                for output in asked[number]:
                    loop.abort(output)

    act(0)
    loop.run(act)
    act(loop.num_events, is_last=True)
    loop.run(act)
    return asked


def ask(loop, request, priority):
    values = dict(request["sampling"])
    values["min_tokens"] = min(values["min_tokens"], values["max_tokens"])
    if (search := request["search"]) is None:
        values["max_tokens"] += 15
    else:
        values |= {"beam_search": search, "n": min(2, search.width)}
    outputs = loop.ask(request["prompt"], priority=priority, **values)
    return outputs if isinstance(outputs, list) else [outputs]


def check(loop, request, outputs):
    search, sampling = request["search"], outputs[0].sampling
    if search is None:
        right = [loop.expected(outputs[0])]
    else:
        right = reference_search(request["prompt"], sampling, loop.spec)
    assert [tuple(one.output_token_ids) for one in outputs] == [one.token_ids for one in right]
    assert [one.finish_reason for one in outputs] == [one.finish_reason for one in right]
    if sampling.logprobs is None:
        return
    for one in outputs:
        assert [entry.token_id for entry in one.logprobs] == one.output_token_ids
        if search is not None:
            total = sum(entry.logprob for entry in one.logprobs)
            penalty = one.num_output_tokens**search.length_penalty
            assert one.score == pytest.approx(total / penalty)


def test_blocks_of_an_answer_that_is_given_up_are_not_read_again(make_loop):
    loop = make_loop(options={"verify": True}, num_blocks=24, depth=3, prefix_caching=False)
    loop.ask([97] * 5, max_tokens=27)
    loop.ask([97] * 9, max_tokens=5, beam_search=2)
    loop.ask([97] * 16, max_tokens=16)
    loop.ask([97] * 13, max_tokens=12, beam_search=BeamSearch(width=2, early_stopping=True))

    loop.run()  # the device raises BooksError if a row still has a block that another one gets

    assert loop.leaks() == []


def test_a_search_that_can_never_run_is_refused(open_engine):
    driver = open_engine(**{"cache.num_blocks": 12, "scheduler.max_rows": 3})

    with pytest.raises(RequestError, match="4 beams; each has a row, and scheduler.max_rows = 3"):
        driver.ask([1, 2], beam_search=4)
    with pytest.raises(RequestError, match="may take 22 blocks of 4 tokens; the cache has 12"):
        driver.ask([1, 2], beam_search=3, max_tokens=20)


def test_beams_share_the_blocks_of_their_prompt(open_engine):
    driver = open_engine(**{"cache.num_blocks": 64, "executor.depth": 1})
    driver.ask([7] * 41, beam_search=4, max_tokens=6, ignore_eos=True)
    most = 0

    def look(step):
        nonlocal most
        most = max(most, driver.engine._state.parts.blocks.pools[0].num_used)

    driver.run(look)

    assert 11 < most <= 10 + 2 * 4 + 2  # ten full blocks once; beyond them two for each, and copies


def test_a_row_that_fails_ends_its_search_alone(open_engine):
    driver = open_engine(**{"options.reference.error_position": 9})
    search = driver.ask([7] * 6, beam_search=3, n=2, max_tokens=8, ignore_eos=True)
    other = driver.ask([7] * 3, beam_search=2, max_tokens=6, ignore_eos=True)

    driver.run()

    assert [one.finish_reason for one in driver.outputs[search].outputs] == [FinishReason.ERROR] * 2
    assert driver.outputs[other].outputs[0].finish_reason is FinishReason.LENGTH
    driver.check_books()


def start(make_loop, windows):
    """Two searches and another request; the answers of the searches, by output."""
    loop = make_loop(windows, options={"verify": True}, num_blocks=40, max_rows=8)
    for prompt, width in (([7] * 9, 3), ([8] * 6, 2)):
        loop.ask(prompt, beam_search=width, n=2, max_tokens=7, ignore_eos=True)
    loop.ask([9] * 5, max_tokens=20, ignore_eos=True)
    return loop


def check_loop(loop, *, ended=()):
    for first in (0, 2):
        outputs = loop.requests[first : first + 2]
        if outputs[0] in ended:
            continue
        prompt = outputs[0].token_ids[: outputs[0].num_prompt_tokens]
        right = reference_search(prompt, outputs[0].sampling, loop.spec)
        assert [tuple(output.output_token_ids) for output in outputs] == [
            answer.token_ids for answer in right
        ]
    plain = loop.requests[4]
    assert tuple(plain.output_token_ids) == loop.expected(plain).token_ids
    assert loop.leaks() == []


def at_every_event(make_loop, windows, act):
    loop = start(make_loop, windows)
    loop.run()
    check_loop(loop)
    for event_number in range(loop.num_events):
        loop = start(make_loop, windows)
        yield loop, lambda now, loop=loop, at=event_number: act(loop) if now == at else None


def test_a_preemption_at_any_event_leaves_all_right(make_loop, windows):
    preempted = []

    def preempt(loop):
        leaders = list(loop.scheduler._searches.leaders(PlanBuilder(0, 0)))
        if leaders:
            loop.scheduler._preemption.preempt(
                PlanBuilder(0, loop.scheduler._next_step_id), leaders[0]
            )
            preempted.append(loop)

    for loop, before_event in at_every_event(make_loop, windows, preempt):
        loop.run(before_event)

        check_loop(loop)
    assert len(preempted) > 5


def test_an_abort_at_any_event_leaves_the_others_right(make_loop, windows):
    def abort(loop):
        for output in loop.requests[:2]:
            loop.abort(output)

    for loop, before_event in at_every_event(make_loop, windows, abort):
        loop.run(before_event)

        gone = [r for r in loop.requests if r.finish_reason is FinishReason.ABORT]
        check_loop(loop, ended=gone)
