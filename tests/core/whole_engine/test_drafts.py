"""Drafts change no answer: with right and wrong guesses, at every moment of the steps in flight."""

import random

import pytest

from jackfield.interfaces.speculator import Drafter
from jackfield.request import FinishReason
from jackfield.scheduler.drafting import Drafting
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Stage
from jackfield.speculation.ngram import NgramDrafter
from jackfield_testing.tokenizer import ECHO_TOKEN_ID, VOCAB_SIZE

pytestmark = pytest.mark.core_model

SHARED = list(b"the same beginning, ")


class Informed(Drafter):
    """Knows the right answers, and errs now and then: every step confirms another number of guesses."""

    def __init__(self, answers):
        self.answers = answers
        self.draw = random.Random(0)

    def propose(self, token_ids, num_unknown, num_tokens):
        for whole in self.answers:
            if whole[: len(token_ids)] == token_ids:
                start = len(token_ids) + num_unknown
                guesses = whole[start : start + num_tokens]
                return [(t + (self.draw.random() < 0.3)) % VOCAB_SIZE for t in guesses]
        return []


@pytest.fixture(
    params=[1, pytest.param(2, marks=pytest.mark.thorough), 3], ids=lambda depth: f"depth {depth}"
)
def make(request, windows, make_loop):
    """Loops with so little of everything that prompts come in chunks and some requests are preempted."""

    def make_(**changes):
        answers = []
        values = {
            "drafting": Drafting(lambda: Informed(answers), 3, VOCAB_SIZE),
            "num_blocks": 18,
            "max_step_tokens": 16,
            "max_rows": 3,
            "depth": request.param,
        }
        loop = make_loop(windows, options={"verify": True}, **{**values, **changes})
        loop.answers = answers
        return loop

    return make_


def ask(loop, prompt, **sampling):
    request = loop.ask(prompt, **sampling)
    loop.answers.append([*prompt, *loop.expected(request).token_ids])
    return request


def fill(loop, count=4):
    draw = random.Random(0)
    for number in range(count):
        prompt = [draw.randrange(256) for _ in range(draw.randint(2, 14))]
        ask(
            loop,
            (SHARED if number % 2 else []) + prompt,
            ignore_eos=True,
            temperature=number % 2,
            seed=number,
        )
    return loop.requests


def run_and(loop, event, action):
    happened = []

    def before_event(now):
        if now == event and not happened:
            happened.append(True)
            action()

    loop.run(before_event)
    assert happened


def num_events(make):
    loop = make()
    fill(loop)
    loop.run()
    return loop.num_events


def test_answers_are_the_same_in_fewer_steps(make):
    plain, drafted = make(drafting=None, num_blocks=64), make(num_blocks=64)
    for loop in (plain, drafted):
        fill(loop)
        loop.run()
        loop.check()

    assert drafted.num_events < plain.num_events


def test_bad_words_are_told_from_guesses_too(make):
    loop = make(num_blocks=64)
    for number in range(3):
        ask(loop, [number + 1], ignore_eos=True, max_tokens=20, bad_words=[[1], [40, 41]])

    loop.run()

    loop.check()


@pytest.mark.parametrize("victim", [3])
def test_an_abort_at_any_event_leaves_the_others_right(make, victim):
    for event in range(num_events(make)):
        loop = make()
        request = fill(loop)[victim]

        run_and(loop, event, lambda loop=loop, request=request: loop.abort(request))

        loop.check(cut_short=[request] if request.finish_reason is FinishReason.ABORT else [])


@pytest.mark.parametrize("victim", [3])
def test_a_preemption_at_any_event_leaves_all_right(make, victim):
    num_preempted = 0
    for event in range(num_events(make)):
        loop = make()
        request = fill(loop)[victim]

        def preempt(loop=loop, request=request):
            if request.stage in (Stage.PREFILLING, Stage.DECODING):
                loop.scheduler._preemption.preempt(
                    PlanBuilder(0, loop.scheduler._next_step_id), request
                )

        run_and(loop, event, preempt)

        loop.check()
        num_preempted += request.num_preemptions
    assert num_preempted > 0


@pytest.mark.parametrize("stop", [{"stop": "!"}, {"stop_token_ids": (ord("!"),)}], ids=str)
def test_an_answer_stops_at_the_same_token(make, stop):
    for length in range(1, 12):
        loop = make()
        script = [*b"." * (length - 1), *b"!", *b"-" * 30]
        fill(loop, count=2)
        stopped = ask(loop, [ECHO_TOKEN_ID, *script], max_tokens=24, **stop)

        loop.run()

        assert stopped.output_token_ids == script[:length]
        loop.check()


def test_a_prefix_of_drafted_tokens_is_shared_by_a_later_request(make):
    loop = make(num_blocks=64)
    first = ask(loop, SHARED, max_tokens=20, ignore_eos=True)
    loop.run()
    again = ask(loop, list(first.token_ids), ignore_eos=True)
    loop.run()

    loop.check()
    if loop.windows == (None,):
        assert again.num_cached_tokens > len(SHARED)


def test_log_probabilities_come_with_each_confirmed_token(make):
    plain, drafted = make(drafting=None, num_blocks=64), make(num_blocks=64)
    for loop in (plain, drafted):
        ask(loop, SHARED, max_tokens=20, logprobs=2, ignore_eos=True)
        loop.run()

    assert plain.requests[0].logprobs == drafted.requests[0].logprobs


def test_a_row_that_fails_at_a_confirmed_guess_ends_alone(make):
    loop = make(num_blocks=64)
    failing, well = ask(loop, SHARED, ignore_eos=True), ask(loop, [1, 2, 3], ignore_eos=True)
    loop.device._options = type(loop.device._options)(
        error_position=len(SHARED) + 5, echo_token_id=ECHO_TOKEN_ID
    )
    loop.run()

    assert failing.finish_reason is FinishReason.ERROR
    assert well.finish_reason is FinishReason.LENGTH


def test_a_drafter_that_fails_is_left_alone(make, caplog):
    class Broken(Drafter):
        def propose(self, token_ids, num_unknown, num_tokens):
            raise ValueError("broken")

    loop = make(drafting=Drafting(Broken, 3, VOCAB_SIZE, "the speculator 'broken'"))
    fill(loop)
    loop.run()

    loop.check()
    assert caplog.text.count("the speculator 'broken' failed; the engine goes on") == 1


def test_an_ngram_drafter_confirms_the_words_of_its_prompt(make):
    script = list(b"to be or not to be, that is the question: to be or not to be")
    ngrams = Drafting(lambda: NgramDrafter(3, 2), 4, VOCAB_SIZE)
    loops = [make(drafting=None, num_blocks=64), make(drafting=ngrams, num_blocks=64)]
    for loop in loops:
        loop.ask([ECHO_TOKEN_ID, *script], max_tokens=len(script), ignore_eos=True)
        loop.run()
        loop.check()

    plain, drafted = (loop.num_events for loop in loops)
    assert drafted < 0.6 * plain
