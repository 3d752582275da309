"""Random mixes of requests, arrivals, aborts and stops, in random engines: every answer is the oracle's."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield_testing.tokenizer import ECHO_TOKEN_ID

pytestmark = pytest.mark.core_model

MAX_LENGTH = 48
NUM_BLOCKS = {4: 12, 5: 10, 16: 3}  # by block size: just enough for one request

# Few different tokens, so that prompts share prefixes and answers meet stop strings.
letters = st.sampled_from(list(b"ab!"))
prefixes = st.sampled_from([[], list(b"abababab"), list(b"abababab!abab!aa")])
prompts = st.builds(
    lambda echo, prefix, rest: [ECHO_TOKEN_ID] * echo + prefix + rest,
    st.booleans(),
    prefixes,
    st.lists(letters, min_size=1, max_size=20),
)
samplings = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.0, 1.0]),
        "max_tokens": st.one_of(st.none(), st.integers(4, 24), st.integers(1, 3)),
        "min_tokens": st.sampled_from([0, 0, 0, 4]),
        "ignore_eos": st.booleans(),
        "stop": st.sampled_from([(), (), ("!",), ("!a", "bab"), ("abab!",)]),
        "include_stop": st.booleans(),
        "stop_token_ids": st.sampled_from([(), (), (ord("!"),), tuple(range(0, 256, 9))]),
        "n": st.sampled_from([1, 1, 1, 2, 3]),
        "logprobs": st.sampled_from([None, None, 2]),
        "prompt_logprobs": st.sampled_from([None, None, None, 1]),
        "presence_penalty": st.sampled_from([0.0, 0.0, 1.0]),
        "seed": st.integers(0, 3),
    }
)
requests = st.fixed_dictionaries(
    {
        "prompt": prompts,
        "sampling": samplings,
        "priority": st.integers(0, 2),
        "stream": st.booleans(),
        "salt": st.sampled_from(["", "", "other"]),
        "arrives": st.integers(0, 12),  # before this step
        "leaves": st.one_of(st.none(), st.none(), st.integers(0, 30)),  # steps after it came
    }
)
engines = st.fixed_dictionaries(
    {
        "windows": st.sampled_from([(None,), (6,), (None, 6), (3, 9), (None, "chunk 7")]),
        "block_size": st.sampled_from(sorted(NUM_BLOCKS)),
        "more_blocks": st.sampled_from([0, 0, 3, 40]),
        "scheduler.max_step_tokens": st.sampled_from([1, 3, 16, 64]),
        "scheduler.max_rows": st.sampled_from([1, 2, 8]),
        "scheduler.long_prefill_tokens": st.sampled_from([None, 5]),
        "scheduler.watermark": st.sampled_from([0.0, 0.2]),
        "select.scheduler": st.sampled_from(["fcfs", "priority"]),
        "cache.prefix_caching": st.booleans(),
        "executor.depth": st.sampled_from([1, 2, 3]),
    }
)


@settings(max_examples=60, deadline=None)
@given(engine=engines, plan=st.lists(requests, min_size=1, max_size=8))
def test_every_answer_is_right_in_every_schedule(engine_driver, tmp_path_factory, engine, plan):
    driver = open_driver(engine_driver, tmp_path_factory, engine)
    with contextlib.closing(driver.engine):
        play(driver, plan)

        driver.check()


def open_driver(engine_driver, tmp_path_factory, engine):
    values = dict(engine)
    size = values.pop("block_size")
    num_blocks = NUM_BLOCKS[size] + values.pop("more_blocks")
    settings = {
        "cache.block_size": size,
        "cache.num_blocks": num_blocks,
        "options.reference.verify": True,  # says where a value is wrong
        "options.reference.idle_s": 0.0005,
    }
    folder = tmp_path_factory.getbasetemp() / "random_model"
    return engine_driver(folder, values.pop("windows"), MAX_LENGTH, **settings, **values)


def play(driver, plan):
    """Let each request arrive and leave when the plan says; then run until all is over."""
    names = {}

    def act(step):
        for number, request in enumerate(plan):
            if number not in names and request["arrives"] <= step:
                keys = ("priority", "stream", "salt")
                values = {key: request[key] for key in keys} | request["sampling"]
                values["min_tokens"] = min(values["min_tokens"], values["max_tokens"] or 4)
                names[number] = driver.ask(request["prompt"], **values)
            leaves = request["leaves"]
            if number in names and leaves is not None and step >= request["arrives"] + leaves:
                driver.abort(names[number])

    for step in range(50):
        act(step)
        driver.step()
    driver.run()
