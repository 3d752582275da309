import asyncio
import gc
import os
import time
from contextlib import aclosing

import pytest

from jackfield.client import LLM, AsyncLLM
from jackfield.errors import EngineClosedError, RequestError
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams

pytestmark = pytest.mark.core_model
GREEDY = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
LONG = SamplingParams(max_tokens=450, ignore_eos=True)


async def until(holds, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  # the engine's thread sets no event for this
            await asyncio.sleep(0.005)


def is_idle(llm):
    stats = llm.stats.scheduler
    return (stats.num_running, stats.num_waiting, stats.cache_usage) == (0, 0, 0.0)


def test_deltas_make_the_answer(open_llm, async_llm):
    (whole,) = open_llm(LLM).generate("a", GREEDY)

    async def main():
        return [delta async for delta in async_llm.deltas("a", GREEDY)]

    deltas = asyncio.run(main())

    assert "".join(delta.text for delta in deltas) == whole.outputs[0].text
    token_ids = [token_id for delta in deltas for token_id in delta.token_ids]
    assert token_ids == whole.outputs[0].token_ids
    assert [delta.is_last for delta in deltas] == [False] * (len(deltas) - 1) + [True]
    assert deltas[-1].finish_reason is FinishReason.LENGTH


def test_each_of_several_outputs_has_deltas_of_its_own(async_llm):
    async def main():
        params = SamplingParams(n=3, max_tokens=5, ignore_eos=True)
        return [delta async for delta in async_llm.deltas("a", params, final_only=True)]

    deltas = asyncio.run(main())

    assert sorted(delta.index for delta in deltas) == [0, 1, 2]
    assert all(len(delta.token_ids) == 5 for delta in deltas)
    assert [delta.is_last for delta in deltas] == [False, False, True]


def test_a_reader_that_is_slow_gets_fewer_longer_deltas(async_llm):
    async def main():
        stream = async_llm.deltas("a", SamplingParams(max_tokens=100, ignore_eos=True))
        first = await anext(stream)
        await until(lambda: is_idle(async_llm))
        await asyncio.sleep(0.05)
        return [first, *[delta async for delta in stream]]

    deltas = asyncio.run(main())

    assert len(deltas) < 50
    assert sum(len(delta.token_ids) for delta in deltas) == 100


@pytest.mark.parametrize("leave", ["close", "break", "drop", "cancel"])
def test_a_reader_that_leaves_withdraws_its_request(async_llm, leave):
    async def read(stream):
        async for _ in stream:
            pass

    async def main():
        stream = async_llm.deltas("a", LONG)
        await anext(stream)
        match leave:
            case "close":
                stream.close()
            case "break":
                async with aclosing(stream):
                    async for _ in stream:
                        break
            case "drop":
                del stream
                gc.collect()
            case "cancel":
                task = asyncio.create_task(read(stream))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await until(lambda: is_idle(async_llm))

    asyncio.run(main())
    assert async_llm.stats.num_tokens < 450


def test_a_reader_that_leaves_at_once_is_not_asked_for(async_llm):
    async def main():
        for _ in range(20):
            async_llm.deltas("a", LONG).close()
        return [delta async for delta in async_llm.deltas("b", GREEDY)]

    deltas = asyncio.run(main())

    assert deltas[-1].is_last
    asyncio.run(until(lambda: is_idle(async_llm)))


def test_a_wrong_request_raises_where_it_is_read(async_llm):
    async def main():
        with pytest.raises(RequestError, match="empty"):
            await anext(async_llm.deltas(""))

    asyncio.run(main())


def test_a_long_prompt_does_not_delay_rows_that_run(open_llm):
    """While it is tokenized, the engine steps."""
    llm = open_llm(AsyncLLM, **{"options.reference.idle_s": 0.0})
    encode = llm.tokenizer.encode
    began = []

    def slow(text, **options):
        if len(text) > 1:
            began.append(llm.stats.num_steps)
            time.sleep(0.3)
            began.append(llm.stats.num_steps)
        return encode(text, **options)

    llm.tokenizer.encode = slow

    async def main():
        async with aclosing(llm.deltas("a", LONG)) as running:
            await anext(running)
            await anext(llm.deltas("long", GREEDY))

    asyncio.run(main())
    assert began[1] - began[0] > 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_is_told_that_the_engine_is_elsewhere(llm):
    llm.generate("a", GREEDY)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            llm.generate("b", GREEDY)
        except EngineClosedError as error:
            status = 0 if "fork" in str(error) else 2
        finally:
            llm.close()
            os._exit(status)

    assert os.waitpid(child, 0)[1] == 0
    assert len(llm.generate("c", GREEDY)) == 1
