"""Cohorts of decoding rows: the same tokens, and steps in flight that do not depend on each other."""

import random

import pytest

from jackfield.interfaces.speculator import Drafter
from jackfield.request import FinishReason
from jackfield.scheduler.drafting import Drafting
from jackfield_testing.pipeline import SimulatedPipeline
from jackfield_testing.tokenizer import VOCAB_SIZE

pytestmark = pytest.mark.core_model


class Random(Drafter):
    draw = random.Random(0)

    def propose(self, token_ids, num_unknown, num_tokens):
        return [self.draw.choice(token_ids) for _ in range(num_tokens)]


def run(make_loop, num_requests=9, max_tokens=60, before_event=lambda event: None, **values):
    overlaps = []
    pipeline = SimulatedPipeline(3)
    loop = make_loop(**{"depth": 3, "num_blocks": 400, "max_rows": 16, **values}, pipeline=pipeline)
    schedule = loop.scheduler.schedule

    def noted():
        in_flight = {row for step in loop.scheduler._in_flight for row in step.plan.rows}
        plan = schedule()
        if plan is not None:
            overlaps.append(in_flight & {*plan.rows})
        return plan

    loop.scheduler.schedule = noted
    for number in range(num_requests):
        loop.ask([number, 1, 2, 3], ignore_eos=True, max_tokens=max_tokens)
    loop.run(before_event)
    return loop, overlaps, pipeline


def test_three_cohorts_keep_three_stages_busy_with_the_same_tokens(make_loop):
    shared, _, slow = run(make_loop, num_cohorts=1)
    cohorts, _, fast = run(make_loop, num_cohorts=3)

    shared.check()
    cohorts.check()
    assert slow.busy(20, slow.now - 20) == pytest.approx(1 / 3, abs=0.02)
    assert fast.busy(20, fast.now - 20) == pytest.approx(1.0, abs=0.02)


def test_no_row_is_in_two_steps_in_flight_while_it_decodes(make_loop):
    _, overlaps, _ = run(make_loop, num_cohorts=3)

    assert len(overlaps) > 100
    assert not any(overlaps)


def test_requests_that_come_and_go_leave_cohorts_of_even_size(make_loop):
    draw = random.Random(0)
    lengths = []

    def before_event(event):
        if event % 7 == 0 and event < 200:
            loop_of[0].ask([event % 250, 5], ignore_eos=True, max_tokens=draw.randint(1, 40))
        lengths.append([len(cohort) for cohort in loop_of[0].scheduler._running.cohorts._cohorts])

    loop_of = []
    original = make_loop

    def remember(*args, **values):
        loop_of.append(original(*args, **values))
        return loop_of[0]

    loop, _, _ = run(remember, num_cohorts=3, max_tokens=80, before_event=before_event)

    loop.check()
    assert max(max(sizes) - min(sizes) for sizes in lengths[60:200]) <= 2


@pytest.mark.parametrize("num_cohorts", [pytest.param(2, marks=pytest.mark.thorough), 3])
@pytest.mark.parametrize("has_drafts", [False, True], ids=["", "drafts"])
def test_an_abort_at_any_event_leaves_the_others_right(make_loop, windows, num_cohorts, has_drafts):
    def make():
        loop = make_loop(
            windows,
            depth=3,
            num_cohorts=num_cohorts,
            num_blocks=18,
            max_step_tokens=16,
            max_rows=3,
            drafting=Drafting(Random, 2, VOCAB_SIZE) if has_drafts else None,
        )
        for number in range(4):
            loop.ask([number] * (3 + 4 * number), ignore_eos=True)
        return loop

    whole = make()
    whole.run()
    whole.check()
    for event in range(0, whole.num_events, 2):
        loop = make()
        victim = loop.requests[3]
        loop.run(lambda now, loop=loop, v=victim, e=event: loop.abort(v) if now == e else None)
        loop.check(cut_short=[victim] if victim.finish_reason is FinishReason.ABORT else [])
