import asyncio
import gc
import threading
from contextlib import aclosing

import pytest

from jackfield.client import LLM, AsyncLLM
from jackfield.errors import EngineClosedError, EngineError, RequestError, WorkerError
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.engine import REFERENCE_SETTINGS

pytestmark = pytest.mark.core_model
GREEDY = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
LONG = SamplingParams(max_tokens=450, ignore_eos=True)


async def answer(llm, prompt, params=GREEDY, **options):
    return [output async for output in llm.generate(prompt, params, **options)]


async def until(holds, timeout_s=5.0):
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  # the engine's thread sets no event for this
            await asyncio.sleep(0.005)


def is_idle(llm):
    stats = llm.stats.scheduler
    return (stats.num_running, stats.num_waiting, stats.cache_usage) == (0, 0, 0.0)


def test_many_callers_get_the_answers_of_one(open_llm, async_llm):
    prompts = [f"prompt {number}" for number in range(40)]
    expected = open_llm(LLM).generate(prompts, GREEDY)

    async def main():
        return await asyncio.gather(*(answer(async_llm, prompt) for prompt in prompts))

    for outputs, whole in zip(asyncio.run(main()), expected, strict=True):
        assert outputs[-1].outputs[0].token_ids == whole.outputs[0].token_ids
        assert "".join(o.outputs[0].delta for o in outputs) == whole.outputs[0].text
        assert len(outputs) == 8


def test_only_the_end_is_given_where_asked_for(async_llm):
    (output,) = asyncio.run(answer(async_llm, "a", final_only=True))

    assert (output.finished, len(output.outputs[0].token_ids)) == (True, 8)


def test_a_wrong_request_raises_for_its_caller_alone(async_llm):
    async def main():
        return await asyncio.gather(
            answer(async_llm, "a"), answer(async_llm, ""), return_exceptions=True
        )

    good, bad = asyncio.run(main())

    assert good[-1].outputs[0].finish_reason is FinishReason.LENGTH
    assert isinstance(bad, RequestError)


def test_an_id_in_use_is_refused(async_llm):
    async def main():
        async with aclosing(async_llm.generate("a", LONG, request_id="mine")) as first:
            await anext(first)
            with pytest.raises(RequestError, match="'mine'"):
                await answer(async_llm, "b", request_id="mine")

    asyncio.run(main())


def test_closing_the_iterator_frees_the_blocks(async_llm):
    async def main():
        outputs = async_llm.generate("a", LONG)
        for _ in range(5):
            await anext(outputs)
        assert not is_idle(async_llm)
        await outputs.aclose()
        await until(lambda: is_idle(async_llm))

    asyncio.run(main())
    assert async_llm.stats.num_tokens < 100


def test_cancelling_the_task_frees_the_blocks(async_llm):
    async def main():
        tasks = [asyncio.create_task(answer(async_llm, "a", LONG)) for _ in range(3)]
        await until(lambda: async_llm.stats.scheduler.num_running == 3)
        for task in tasks:
            task.cancel()
        await until(lambda: is_idle(async_llm))
        assert all(
            isinstance(e, asyncio.CancelledError)
            for e in await asyncio.gather(*tasks, return_exceptions=True)
        )

    asyncio.run(main())


def test_cancelling_one_request_leaves_the_others_alone(async_llm):
    async def main():
        task = asyncio.create_task(answer(async_llm, "a", LONG))
        other = asyncio.create_task(answer(async_llm, "b", SamplingParams(max_tokens=60)))
        await until(lambda: async_llm.stats.scheduler.num_running == 2)
        task.cancel()
        return await other

    assert asyncio.run(main())[-1].finished


def test_callers_can_be_in_several_event_loops(async_llm):
    found = {}

    def one(name):
        found[name] = asyncio.run(answer(async_llm, name))[-1].finished

    threads = [threading.Thread(target=one, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == dict.fromkeys("abc", True)


def test_requests_of_an_event_loop_that_is_gone_are_withdrawn(async_llm):
    loop = asyncio.new_event_loop()
    outputs = async_llm.generate("a", LONG)
    loop.run_until_complete(anext(outputs))
    loop.close()

    asyncio.run(until(lambda: is_idle(async_llm)))
    assert async_llm.stats.num_tokens < 450
    del outputs


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_worker_that_fails_raises_in_all_callers_and_later_ones(open_llm, depth):
    faults = {"options.reference.fault": "raise", "options.reference.fault_step": 20}
    llm = open_llm(AsyncLLM, **faults, **{"executor.depth": depth})

    async def main():
        callers = (answer(llm, prompt, LONG) for prompt in "abc")
        errors = await asyncio.gather(*callers, return_exceptions=True)
        with pytest.raises(EngineClosedError, match="PlannedFault"):
            await answer(llm, "late")
        return errors

    errors = asyncio.run(main())

    assert [type(error) for error in errors] == [WorkerError] * 3
    assert len(set(map(id, errors))) == 3
    assert all("PlannedFault" in error.worker_traceback for error in errors)
    assert llm.is_closed


def own_threads():
    """Threads of engines. Tests before this one may have left some."""
    return {t for t in threading.enumerate() if t.name.startswith("jackfield")}


def test_close_raises_in_open_iterators_and_ends_the_threads(open_llm):
    before, others = threading.active_count(), own_threads()
    llm = open_llm(AsyncLLM)

    async def main():
        task = asyncio.create_task(answer(llm, "a", LONG))
        await until(lambda: llm.stats.scheduler.num_running == 1)
        await llm.aclose()
        with pytest.raises(EngineClosedError):
            await task
        with pytest.raises(EngineClosedError):
            await answer(llm, "b")

    asyncio.run(main())
    llm.close()

    assert own_threads() <= others
    assert threading.active_count() <= before + 1  # the thread of asyncio.to_thread may linger


def test_close_ends_although_a_worker_hangs(open_llm, monkeypatch):
    monkeypatch.setattr("jackfield.client.engine_thread._CLOSE_S", 0.2)
    llm = open_llm(AsyncLLM, **{"options.reference.fault": "hang", "executor.depth": 1})

    async def main():
        task = asyncio.create_task(answer(llm, "a", LONG))
        await until(lambda: llm.stats.scheduler.num_in_flight == 1)
        await asyncio.wait_for(llm.aclose(), 5)
        with pytest.raises(EngineError):
            await task

    asyncio.run(main())


def test_it_is_an_asynchronous_context_manager(open_llm):
    async def main():
        async with open_llm(AsyncLLM) as llm:
            await answer(llm, "a")
        return llm

    assert asyncio.run(main()).is_closed


def test_one_that_is_dropped_ends_its_threads(model):
    others = own_threads()
    llm = AsyncLLM(model, settings=REFERENCE_SETTINGS)
    asyncio.run(answer(llm, "a"))

    del llm
    gc.collect()

    assert own_threads() <= others


def test_aborts_and_arrivals_at_random_change_no_other_answer(open_llm):
    llm = open_llm(AsyncLLM, **{"cache.num_blocks": 40, "scheduler.max_step_tokens": 64})
    prompts = [f"{'shared ' * 5}{number % 7}" for number in range(60)]
    expected = open_llm(LLM).generate(prompts, GREEDY)

    async def one(number, prompt):
        await asyncio.sleep(0.002 * (number % 11))
        outputs = []
        async with aclosing(llm.generate(prompt, GREEDY)) as stream:
            async for output in stream:
                outputs.append(output)
                if number % 3 == 0 and len(outputs) == 1 + number % 5:
                    return None
        return outputs[-1].outputs[0].token_ids

    async def main():
        found = await asyncio.gather(*(one(n, prompt) for n, prompt in enumerate(prompts)))
        await until(lambda: is_idle(llm))
        return found

    for found, whole in zip(asyncio.run(main()), expected, strict=True):
        assert found is None or found == whole.outputs[0].token_ids


def test_it_explains_itself_as_the_blocking_client_does(open_llm):
    explanation = open_llm(AsyncLLM).explanation()

    assert explanation["decisions"] == open_llm().explanation()["decisions"]
