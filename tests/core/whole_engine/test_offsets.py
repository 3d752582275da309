"""Aborts, stops and preemptions at every offset of the steps in flight, one event at a time."""

import random

import pytest

from jackfield.request import FinishReason
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Stage
from jackfield_testing.tokenizer import ECHO_TOKEN_ID

pytestmark = pytest.mark.core_model

SHARED = list(b"the same beginning, ")
# Of four requests, every other one begins with SHARED.
VICTIMS = [*(pytest.param(victim, marks=pytest.mark.thorough) for victim in (0, 1)), 2, 3]


@pytest.fixture(
    params=[pytest.param(1, marks=pytest.mark.thorough), 2, 3], ids=lambda depth: f"depth {depth}"
)
def make(request, windows, make_loop):
    """Loops with so little of everything that prompts come in chunks and some requests are preempted."""
    limits = {"num_blocks": 18, "max_step_tokens": 16, "max_rows": 3}
    return lambda: make_loop(windows, depth=request.param, **limits)


def fill(loop, count=4):
    """Ask for `count` answers; every other prompt begins with the same tokens."""
    draw = random.Random(0)
    for number in range(count):
        prompt = [draw.randrange(256) for _ in range(draw.randint(2, 14))]
        loop.ask((SHARED if number % 2 else []) + prompt, ignore_eos=True)
    return loop.requests


def num_events(make):
    """Events of an undisturbed run."""
    loop = make()
    fill(loop)
    loop.run()
    return loop.num_events


def run_and(loop, event, action):
    """Run to the end; `action` happens before the event of that number."""
    happened = []

    def before_event(now):
        if now == event and not happened:
            happened.append(True)
            action()

    loop.run(before_event)
    assert happened


def test_the_undisturbed_run_is_right_and_short_of_blocks(make, windows):
    loop = make()
    fill(loop)

    loop.run()

    loop.check()
    if None in windows:
        assert loop.scheduler.stats.num_preemptions > 0


@pytest.mark.parametrize("victim", VICTIMS)
def test_an_abort_at_any_event_leaves_the_others_right(make, victim):
    for event in range(num_events(make)):
        loop = make()
        request = fill(loop)[victim]

        run_and(loop, event, lambda loop=loop, request=request: loop.abort(request))

        loop.check(cut_short=[request] if request.finish_reason is FinishReason.ABORT else [])


def test_an_abort_of_all_at_any_event_leaves_nothing_behind(make):
    for event in range(num_events(make)):
        loop = make()
        fill(loop)

        run_and(loop, event, lambda loop=loop: [loop.abort(r) for r in loop.requests])

        loop.check(cut_short=loop.requests)


def test_a_request_that_comes_at_any_event_is_answered_right(make):
    for event in range(num_events(make)):
        loop = make()
        fill(loop)

        run_and(loop, event, lambda loop=loop: loop.ask([*SHARED, 1, 2, 3]))

        loop.check()


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_preemption_at_any_event_leaves_all_right(make, victim):
    num_preempted = 0
    for event in range(num_events(make)):
        loop = make()
        request = fill(loop)[victim]

        def preempt(loop=loop, request=request):
            # What the scheduler does with a victim, but at a moment of our choice.
            if request.stage in (Stage.PREFILLING, Stage.DECODING):
                loop.scheduler._preemption.preempt(
                    PlanBuilder(0, loop.scheduler._next_step_id), request
                )

        run_and(loop, event, preempt)

        loop.check()
        num_preempted += request.num_preemptions
    assert num_preempted > 0


@pytest.mark.parametrize("length", range(1, 14))
def test_a_stop_string_after_any_number_of_tokens_ends_there(make, length):
    loop = make()
    script = [*b"." * (length - 1), *b"!", *b"-" * 30]
    fill(loop, count=3)
    stopped = loop.ask([ECHO_TOKEN_ID, *script], max_tokens=24, stop="!")

    loop.run()

    assert (stopped.output_token_ids, stopped.stop_reason) == (script[:length], "!")
    loop.check()


@pytest.mark.parametrize("length", range(1, 14))
def test_a_stop_token_after_any_number_of_tokens_ends_there(make, length):
    loop = make()
    script = [*b"." * (length - 1), *b"!", *b"-" * 30]
    fill(loop, count=3)
    stopped = loop.ask([ECHO_TOKEN_ID, *script], max_tokens=24, stop_token_ids=(ord("!"),))

    loop.run()

    assert (stopped.output_token_ids, stopped.stop_reason) == (script[:length], ord("!"))
    loop.check()
