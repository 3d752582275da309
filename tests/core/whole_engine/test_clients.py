"""Clients on the reference platform: callers come, go and fail, and nobody else notices."""

import asyncio
import threading
import time

import pytest

from jackfield.client import LLM, AsyncLLM
from jackfield.errors import EngineClosedError, WorkerError
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import tiny_spec, write_model
from jackfield_testing.oracle import reference_tokens

pytestmark = pytest.mark.core_model

WINDOWS = (None, 6)
SPEC = tiny_spec(windows=WINDOWS)
GREEDY = SamplingParams(temperature=0.0, max_tokens=20)
LONG = SamplingParams(temperature=0.0, max_tokens=400, ignore_eos=True)
PROMPTS = [f"{'a shared beginning, ' * (i % 3)}then number {i}" for i in range(12)]


@pytest.fixture
def open_client(tmp_path):
    """Opens a client on a tiny model, with too few blocks for all requests at once."""
    clients = []
    write_model(tmp_path, windows=WINDOWS)

    def open_(cls, **settings):
        few = {"cache.block_size": 4, "cache.num_blocks": 140, "scheduler.watermark": 0.0}
        client = cls(str(tmp_path), settings={**REFERENCE_SETTINGS, **few, **settings})
        clients.append(client)
        return client

    yield open_
    for client in clients:
        client.close()


def expected(prompt, sampling=GREEDY):
    return reference_tokens(list(prompt.encode()), sampling, SPEC)


def wait_until_idle(client):
    """The figures once no request is open and no step in flight."""
    deadline_s = time.monotonic() + 10
    while (stats := client.stats.scheduler).num_running or stats.num_in_flight:
        assert time.monotonic() < deadline_s, stats
        time.sleep(0.005)
    return stats


def test_a_batch_is_answered_right_and_only_its_bad_prompt_fails(open_client):
    llm = open_client(LLM)

    outputs = llm.generate([*PROMPTS[:5], "", *PROMPTS[5:]], GREEDY)

    bad = outputs.pop(5)
    assert bad.outputs[0].finish_reason is FinishReason.ERROR
    assert [list(o.outputs[0].token_ids) for o in outputs] == [expected(p) for p in PROMPTS]


def test_a_stream_that_is_left_withdraws_its_requests(open_client):
    llm = open_client(LLM)
    stream = llm.stream(PROMPTS, LONG)
    next(stream)

    stream.close()

    assert not llm.engine.has_unfinished
    (output,) = llm.generate(PROMPTS[0], GREEDY)
    assert list(output.outputs[0].token_ids) == expected(PROMPTS[0])


def test_callers_that_leave_at_any_moment_do_not_disturb_the_others(open_client):
    llm = open_client(AsyncLLM)

    async def stay(prompt):
        async for output in llm.generate(prompt, GREEDY):
            last = output
        return list(last.outputs[0].token_ids)

    async def leave(prompt, num_outputs):
        outputs = llm.generate(prompt, LONG)
        for _ in range(num_outputs):
            await anext(outputs)
        await outputs.aclose()

    async def main():
        leaving = [leave(prompt, number) for number, prompt in enumerate(PROMPTS)]
        cancelled = [asyncio.create_task(leave(prompt, 10_000)) for prompt in PROMPTS[:4]]
        answers = asyncio.gather(*map(stay, PROMPTS))
        await asyncio.gather(*leaving)
        for task in cancelled:
            task.cancel()
        return await answers

    answers = asyncio.run(main())

    assert answers == [expected(prompt) for prompt in PROMPTS]
    assert wait_until_idle(llm).cache_usage == 0


def test_a_failing_worker_reaches_every_caller(open_client):
    fault = {"options.reference.fault": "raise", "options.reference.fault_step": 300}
    llm = open_client(AsyncLLM, **fault)  # all prompts are taken long before that step

    async def ask(prompt):
        async for _ in llm.generate(prompt, LONG):
            pass

    async def main():
        tasks = asyncio.gather(*map(ask, PROMPTS), return_exceptions=True)
        return await asyncio.wait_for(tasks, 20)

    errors = asyncio.run(main())

    assert [type(error) for error in errors] == [WorkerError] * len(PROMPTS)
    assert all("at step 300" in str(error) for error in errors)
    with pytest.raises(EngineClosedError):
        asyncio.run(ask(PROMPTS[0]))


def test_close_reaches_every_caller(open_client):
    threads = threading.active_count()
    llm = open_client(AsyncLLM)

    async def ask(prompt):
        async for _ in llm.generate(prompt, LONG):
            pass

    async def main():
        tasks = [asyncio.create_task(ask(prompt)) for prompt in PROMPTS]
        await asyncio.sleep(0.02)
        await asyncio.to_thread(llm.close)
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    errors = asyncio.run(main())

    assert {type(error) for error in errors} == {EngineClosedError}
    assert threading.active_count() == threads
