"""The whole engine on the CPU with tiny random models: scheduler, executor, worker and client together."""

import gc
import os
from pathlib import Path

import pytest

from jackfield import LLM, SamplingParams
from jackfield.request import FinishReason

pytestmark = pytest.mark.cpu_model

PROMPTS = [
    [11, 4, 27, 90, 3, 15, 61, 8, 42, 77, 30],
    [60, 2, 2, 35, 80],
    [7],
    [9, 33, 12, 54, 6, 71, 18, 25, 39, 83, 1, 50, 66, 14, 29, 95, 20, 47],
    [60, 2, 2, 35, 80, 10],
]
NUM_TOKENS = 12
GREEDY = SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True)
SCHEDULES = {
    "default": {},
    "one at a time": {"scheduler.max_rows": 1},
    "tiny chunks": {"scheduler.max_step_tokens": 5},
    "no prefix caching": {"cache.prefix_caching": False},
    "forced preemption": {"cache.num_blocks": 16, "scheduler.watermark": 0.0},
    "one step in flight": {"executor.depth": 1},
    "three steps in flight": {"executor.depth": 3},
    "large blocks": {"cache.block_size": 32},
    "drafts": {"select.speculator": "ngram", "speculation.num_tokens": 3, "executor.depth": 3},
    "two attention backends over one cache": {
        "select.attention": [
            {"match": {"layer": 0}, "use": "torch_sdpa"},
            {"use": "cpu_paged"},
        ]
    },
}


def open_llm(model, **settings):
    return LLM(str(model.path), dtype="float32", settings={"cache.block_size": 4, **settings})


def tokens_of(outputs):
    return [list(output.outputs[0].token_ids) for output in outputs]


@pytest.fixture(scope="module")
def expected(make_model):
    known = {}

    def expected(model):
        if model.path not in known:
            known[model.path] = [model.greedy(prompt, NUM_TOKENS) for prompt in PROMPTS]
        return known[model.path]

    return expected


@pytest.mark.parametrize("settings", SCHEDULES.values(), ids=SCHEDULES)
def test_greedy_tokens_do_not_depend_on_the_schedule(model, expected, settings):
    with open_llm(model, **settings) as llm:
        outputs = llm.generate(PROMPTS, GREEDY)

    assert tokens_of(outputs) == expected(model)


def test_a_small_pool_preempts(tiny_llama):
    with open_llm(tiny_llama, **SCHEDULES["forced preemption"]) as llm:
        outputs = llm.generate(PROMPTS, GREEDY)

    assert sum(output.metrics.num_preemptions for output in outputs) > 0


def test_a_prompt_asked_twice_is_answered_alike_from_the_cache(model, expected):
    with open_llm(model) as llm:
        first, second = (llm.generate([PROMPTS[3]], GREEDY) for _ in range(2))

    assert tokens_of(first) == tokens_of(second) == [expected(model)[3]]
    assert second[0].metrics.num_cached_tokens > 0


def test_seeds_decide_whatever_the_schedule(tiny_llama):
    params = [SamplingParams(max_tokens=10, seed=s, top_p=0.9, ignore_eos=True) for s in range(5)]
    runs = []
    for name in ("default", "one at a time", "tiny chunks", "forced preemption"):
        with open_llm(tiny_llama, **SCHEDULES[name]) as llm:
            runs.append(tokens_of(llm.generate(PROMPTS, params)))

    assert runs[1:] == runs[:1] * 3


def test_outputs_of_one_prompt_differ(tiny_llama):
    params = SamplingParams(n=3, max_tokens=10, seed=1, ignore_eos=True)

    with open_llm(tiny_llama) as llm:
        (output,) = llm.generate([PROMPTS[0]], params)

    assert len({tuple(o.token_ids) for o in output.outputs}) == 3


def test_log_probabilities_are_those_of_a_whole_forward_pass(tiny_llama):
    params = SamplingParams(
        temperature=0.0, max_tokens=4, logprobs=2, prompt_logprobs=1, ignore_eos=True
    )

    with open_llm(tiny_llama, **SCHEDULES["tiny chunks"]) as llm:
        (output,) = llm.generate([PROMPTS[0]], params)

    (answer,) = output.outputs
    text = [*PROMPTS[0], *answer.token_ids]
    logprobs = tiny_llama.logits(text).log_softmax(-1)
    found = [*output.prompt_logprobs, *answer.logprobs]
    assert found[0] is None
    for position, entry in enumerate(found[1:]):
        assert entry.token_id == text[position + 1]
        assert entry.logprob == pytest.approx(logprobs[position, entry.token_id].item(), abs=1e-4)


def test_an_end_token_ends_the_answer(tiny_llama):
    with open_llm(tiny_llama) as llm:
        params = SamplingParams(temperature=0.0, max_tokens=8, logit_bias={5: 100.0})
        (output,) = llm.generate([PROMPTS[0]], params)
        late = SamplingParams(temperature=0.0, max_tokens=8, min_tokens=3, logit_bias={5: 100.0})
        (later,) = llm.generate([PROMPTS[0]], late)

    assert output.outputs[0].finish_reason is FinishReason.STOP
    assert list(output.outputs[0].token_ids) == [5]
    assert len(later.outputs[0].token_ids) == 4


def test_an_answer_may_fill_the_model_to_its_last_position(tiny_llama):
    params = SamplingParams(temperature=0.0, max_tokens=None, ignore_eos=True)

    with open_llm(tiny_llama) as llm:
        (output,) = llm.generate([PROMPTS[0]], params)

    assert len(PROMPTS[0]) + len(output.outputs[0].token_ids) == tiny_llama.spec.max_length
    assert output.outputs[0].finish_reason is FinishReason.LENGTH


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads the memory from /proc")
def test_engines_opened_and_closed_leave_memory_flat(tiny_llama):
    def run():
        with open_llm(tiny_llama, **{"cache.memory_bytes": 64 << 20}) as llm:
            llm.generate(PROMPTS, GREEDY)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in range(3):
        run()
    sizes = [run() for _ in range(10)]

    assert sizes[-1] - sizes[0] < 16 << 20


@pytest.mark.distributed
def test_two_ranks_answer_as_one(model, expected):
    with open_llm(model, **{"executor.tensor_parallel": 2}) as llm:
        outputs = llm.generate(PROMPTS, GREEDY)

    assert tokens_of(outputs) == expected(model)
