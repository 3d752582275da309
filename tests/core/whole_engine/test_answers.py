"""The same answers whatever the budget, the cache, the depth, the executor and the cache groups."""

import random

import pytest

from jackfield_testing.tokenizer import ECHO_TOKEN_ID

pytestmark = pytest.mark.core_model

DEPTHS = [
    pytest.param(1, marks=pytest.mark.thorough),
    pytest.param(2, marks=pytest.mark.thorough),
    3,
]
TINY_POOL = {"cache.num_blocks": 34, "scheduler.max_rows": 6}  # one request at most takes 32


def ask_many(driver, count=10, seed=0):
    """Prompts of 1 to 60 tokens, some with a common beginning, greedy and not."""
    draw = random.Random(seed)
    for number in range(count):
        begin = list(b"a beginning that is shared by many. " if number % 2 else b"")
        prompt = begin + [draw.randrange(128) for _ in range(draw.randint(1, 24))]
        driver.ask(prompt, max_tokens=draw.randint(1, 30), temperature=float(number % 3 == 0))


@pytest.mark.parametrize("prefix_caching", [True, False], ids=["prefix caching", "no caching"])
@pytest.mark.parametrize(
    "budget",
    [
        1,
        pytest.param(3, marks=pytest.mark.thorough),
        16,
        pytest.param(64, marks=pytest.mark.thorough),
        2048,
    ],
)
def test_a_budget_changes_nothing(open_engine, windows, budget, prefix_caching):
    driver = open_engine(
        windows,
        **{"scheduler.max_step_tokens": budget, "cache.prefix_caching": prefix_caching},
    )
    ask_many(driver)

    driver.run()

    driver.check()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("budget", [8, 2048])
def test_preemption_changes_nothing(open_engine, windows, depth, budget):
    driver = open_engine(
        windows, **{**TINY_POOL, "executor.depth": depth, "scheduler.max_step_tokens": budget}
    )
    ask_many(driver, count=16)

    driver.run()

    driver.check()
    if None in windows and budget == 2048:
        assert driver.engine.stats.scheduler.num_preemptions > 0


@pytest.mark.distributed
@pytest.mark.parametrize("num_ranks", [1, 3])
@pytest.mark.parametrize("depth", DEPTHS)
def test_processes_change_nothing(open_engine, depth, num_ranks):
    driver = open_engine(
        (None, 6),
        **{
            **TINY_POOL,
            "select.executor": "multiprocess",
            "executor.depth": depth,
            "executor.tensor_parallel": num_ranks,
        },
    )
    ask_many(driver)

    driver.run()

    driver.check()


@pytest.mark.parametrize("policy", ["fcfs", "priority"])
def test_priorities_change_the_order_and_no_answer(open_engine, windows, policy):
    driver = open_engine(windows, **{**TINY_POOL, "select.scheduler": policy})
    order = []
    ids = [
        driver.ask(list(b"prompt %d" % number), priority=-number, max_tokens=20, ignore_eos=True)
        for number in range(20)
    ]

    while driver.engine.has_unfinished or driver.engine.num_in_flight:
        order += [output.request_id for output in driver.step()]

    assert order[0] == (ids[0] if policy == "fcfs" else ids[-1])
    driver.check()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("prefix_caching", [True, False], ids=["prefix caching", "no caching"])
def test_siblings_differ_and_are_right(open_engine, windows, depth, prefix_caching):
    driver = open_engine(
        windows, **{"executor.depth": depth, "cache.prefix_caching": prefix_caching}
    )
    hot = [driver.ask([7] * length, n=4, temperature=1.0, seed=5) for length in (1, 4, 13, 16)]
    driver.ask(list(b"greedy siblings"), n=3)

    driver.run()

    driver.check()
    for request_id in hot:
        answers = driver.outputs[request_id].outputs
        assert len({tuple(answer.token_ids) for answer in answers}) == 4


def test_siblings_survive_preemption(open_engine, windows):
    driver = open_engine(windows, **TINY_POOL)
    for number in range(6):
        driver.ask([number] * 21, n=4, temperature=1.0, max_tokens=40, ignore_eos=True)

    driver.run()

    driver.check()


def test_a_prefix_is_served_from_the_cache(open_engine, windows):
    driver = open_engine(windows)
    prompt = list(range(40))
    driver.ask(prompt)
    driver.run()

    again = driver.ask(prompt)
    longer = driver.ask([*prompt, 99])
    driver.run()

    assert driver.outputs[again].metrics.num_cached_tokens >= 36
    assert driver.outputs[longer].metrics.num_cached_tokens >= 36
    driver.check()


def test_another_salt_shares_nothing(open_engine, windows):
    driver = open_engine(windows)
    prompt = list(range(40))
    driver.ask(prompt, salt="one")
    driver.run()

    other = driver.ask(prompt, salt="two")
    driver.run()

    assert driver.outputs[other].metrics.num_cached_tokens == 0
    driver.check()


@pytest.mark.parametrize("budget", [3, 2048])
def test_prompt_logprobs_are_those_of_a_single_step(open_engine, windows, budget):
    prompt = list(range(30))
    plain = open_engine(windows)
    expected = plain.ask(prompt, prompt_logprobs=2, logprobs=3)
    chunked = open_engine(windows, **{**TINY_POOL, "scheduler.max_step_tokens": budget})
    chunked.ask(prompt)
    chunked.run()  # the prefix is in the cache now: prompt logprobs must not use it
    for _ in range(3):
        chunked.ask([5] * 40, max_tokens=40, ignore_eos=True)
    got = chunked.ask(prompt, prompt_logprobs=2, logprobs=3)

    plain.run()
    chunked.run()

    expected, got = plain.outputs[expected], chunked.outputs[got]
    assert len(got.prompt_logprobs) == len(prompt)
    assert got.prompt_logprobs == expected.prompt_logprobs
    assert got.outputs[0].logprobs == expected.outputs[0].logprobs
    chunked.check()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "at the end"])
@pytest.mark.parametrize("text", ["plain words", "größer als 日本 🙂", "🙂🙂🙂"])
def test_text_is_never_cut_inside_a_character(open_engine, text, stream):
    driver = open_engine()
    wanted = driver.ask(
        [ECHO_TOKEN_ID, *text.encode()], max_tokens=len(text.encode()), stream=stream
    )
    deltas = []

    while driver.engine.has_unfinished:
        deltas += [output.outputs[0].delta for output in driver.step()]

    assert driver.outputs[wanted].outputs[0].text == "".join(deltas) == text
    assert not any("\ufffd" in delta for delta in deltas)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("include_stop", [True, False])
def test_a_stop_string_across_tokens_ends_the_request(open_engine, windows, depth, include_stop):
    driver = open_engine(windows, **{"executor.depth": depth})
    asked = [
        driver.ask(
            [ECHO_TOKEN_ID, *b"x" * length, *b"stop", *b"y" * 20],
            stop=("stop", "never"),
            max_tokens=40,
            include_stop=include_stop,
            stream=length % 2 == 0,
        )
        for length in range(12)
    ]

    driver.run()

    driver.check()
    for length, request_id in enumerate(asked):
        (output,) = driver.outputs[request_id].outputs
        assert output.text == "x" * length + ("stop" if include_stop else "")
        assert output.stop_reason == "stop"
