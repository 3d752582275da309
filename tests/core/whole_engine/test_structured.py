"""Rows with a grammar at every moment of the steps in flight: alone, beside others, and with drafts."""

import pytest

from jackfield.interfaces.speculator import Drafter
from jackfield.request import FinishReason
from jackfield.scheduler.drafting import Drafting
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Stage
from jackfield_testing.tokenizer import VOCAB_SIZE, ByteTokenizer

pytestmark = pytest.mark.core_model

CHOICES = ("the first answer", "the second answer", "the first", "none of these")


class Hopeful(Drafter):
    """Guesses the beginning of a choice, right or wrong."""

    def propose(self, token_ids, num_unknown, num_tokens):
        start = len(token_ids) % 7 + num_unknown
        return list(CHOICES[len(token_ids) % 2].encode()[start : start + num_tokens])


@pytest.fixture(
    params=[
        (1, False),
        pytest.param((2, False), marks=pytest.mark.thorough),
        (3, False),
        pytest.param((2, True), marks=pytest.mark.thorough),
        (3, True),
    ],
    ids=lambda p: f"depth {p[0]}{', drafts' * p[1]}",
)
def make(request, make_loop):
    def make_(**changes):
        depth, has_drafts = request.param
        values = {
            "drafting": Drafting(Hopeful, 3, VOCAB_SIZE) if has_drafts else None,
            "num_blocks": 18,
            "max_step_tokens": 16,
            "max_rows": 3,
            "depth": depth,
        }
        loop = make_loop(options={"verify": True}, **{**values, **changes})
        for number in range(4):
            prompt = [number] * (3 + number)
            if number % 2:
                loop.ask(prompt, ignore_eos=True)
            else:
                loop.ask(
                    prompt,
                    temperature=1.0,
                    seed=number,
                    max_tokens=30,
                    structured={"choice": CHOICES},
                )
        return loop

    return make_


@pytest.fixture(scope="module")
def right():
    """The answers of a run with one step in flight, enough memory and no drafts, by seed."""
    return {}


def check(loop, right, cut_short=()):
    for request in loop.requests:
        if request.sampling.structured is None:
            continue
        text = ByteTokenizer().decode(request.output_token_ids)
        known = right.setdefault(request.seed, text)
        if request in cut_short:
            assert known.startswith(text)
        else:
            assert request.finish_reason is FinishReason.STOP
            assert text in CHOICES
            assert text == known
    loop.requests = [r for r in loop.requests if r.sampling.structured is None]
    loop.check(cut_short=cut_short)


def run_and(loop, event, action):
    loop.run(lambda now: action() if now == event else None)


def num_events(make):
    loop = make()
    loop.run()
    return loop.num_events


def test_answers_are_choices_and_others_run_free(make, right):
    loop = make()
    loop.run()
    check(loop, right)


@pytest.mark.parametrize("victim", [0, 1])
def test_an_abort_at_any_event_leaves_the_others_right(make, right, victim):
    check_first = make(depth=1, drafting=None)
    check_first.run()
    check(check_first, right)
    for event in range(num_events(make)):
        loop = make()
        request = loop.requests[victim]

        run_and(loop, event, lambda loop=loop, request=request: loop.abort(request))

        check(loop, right, [request] if request.finish_reason is FinishReason.ABORT else [])


@pytest.mark.parametrize("victim", [0, 1])
def test_a_preemption_at_any_event_leaves_all_right(make, right, victim):
    for event in range(num_events(make)):
        loop = make()
        request = loop.requests[victim]

        def preempt(loop=loop, request=request):
            if request.stage in (Stage.PREFILLING, Stage.DECODING):
                loop.scheduler._preemption.preempt(
                    PlanBuilder(0, loop.scheduler._next_step_id), request
                )

        run_and(loop, event, preempt)

        check(loop, right)


def test_a_grammar_that_fails_ends_its_request_alone(make):
    loop = make()
    broken = loop.requests[0]

    def fail(mask):
        raise ValueError("broken")

    broken.grammar.fill = fail
    loop.run()

    assert broken.finish_reason is FinishReason.ERROR
    assert "broken" in broken.error
    assert all(r.finish_reason is not FinishReason.ERROR for r in loop.requests[1:])
