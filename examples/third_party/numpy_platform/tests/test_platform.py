"""Answers do not depend on how the engine cuts prompts, batches, preempts or shares blocks."""

import json
import subprocess
import sys

import pytest
from jackfield import LLM, SamplingParams
from jackfield.errors import SelectionError

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "torch_dtype": "bfloat16",
}
SETTINGS = {
    "select.platform": "numpy",
    "select.weight_format": "dummy",  # weights are made up by model.seed
    "cache.block_size": 4,
}
PROMPTS = [[1, 2, 3], list(range(40, 90)), [5], list(range(40, 80))]
GREEDY = SamplingParams(max_tokens=12, temperature=0.0)
RANDOM = SamplingParams(
    max_tokens=12, seed=7, temperature=0.9, top_k=50, top_p=0.95, min_p=0.01,
    repetition_penalty=1.2, presence_penalty=0.1, frequency_penalty=0.1,
)  # fmt: skip


@pytest.fixture
def open_llm(tmp_path):
    def open_llm(settings=None, **config):
        (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **config}))
        return LLM(str(tmp_path), settings={**SETTINGS, **(settings or {})})

    return open_llm


@pytest.fixture
def answers(open_llm):
    def answers(params, **settings):
        with open_llm({key.replace("__", "."): value for key, value in settings.items()}) as llm:
            outputs = [
                output for _ in range(2) for output in llm.generate(PROMPTS, params)
            ]  # the second time prefixes are cached
            return [output.outputs[0].token_ids for output in outputs]

    return answers


@pytest.mark.parametrize("params", [GREEDY, RANDOM], ids=["greedy", "random"])
@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler__max_step_tokens": 7},
        {"scheduler__max_rows": 1},
        {"cache__num_blocks": 24, "model__max_length": 80},  # too few for all: some start again
        {"cache__prefix_caching": False},
        {"executor__depth": 3},
    ],
    ids=["chunked", "alone", "preempted", "not shared", "deep"],
)
def test_an_answer_is_the_same_however_it_is_scheduled(answers, params, settings):
    assert answers(params, **settings) == answers(params)


def test_a_cache_of_half_the_size_is_allowed(answers):
    assert len(answers(GREEDY, cache__dtype="float16")) == 2 * len(PROMPTS)


def test_logprobs_are_those_of_the_model_whatever_is_drawn(open_llm):
    biased = SamplingParams(max_tokens=1, temperature=0.0, logit_bias={9: 100.0}, logprobs=300)
    with open_llm() as llm:
        (output,) = llm.generate([[1, 2, 3]], biased)

    (entry,) = output.outputs[0].logprobs
    assert (output.outputs[0].token_ids, entry.token_id) == ([9], 9)
    assert dict(zip(entry.top_ids, entry.top_logprobs, strict=True))[9] == entry.logprob
    assert entry.top_ids[entry.rank - 1] == 9


@pytest.mark.parametrize(
    ("settings", "config", "told"),
    [
        ({"model.dtype": "bfloat16"}, {}, "computes in float32, not in bfloat16"),
        ({"executor.tensor_parallel": 2}, {}, "platform.num_ranks"),
        ({}, {"hidden_act": "gelu"}, "feed_forward.activation=gelu"),
    ],
)
def test_what_it_lacks_is_refused_before_anything_is_loaded(open_llm, settings, config, told):
    with pytest.raises(SelectionError, match=told):
        open_llm(settings, **config)


def test_the_card_imports_no_numpy():
    code = "import sys, jackfield_acme_numpy.platform; print('numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
