import pytest

from jackfield import LLM, SamplingParams
from jackfield.errors import ConfigError, RequestError, SelectionError
from jackfield_testing_torch.late_device import LateDevice
from jackfield_torch_sdpa.backend import TorchSdpaBackend

PROMPTS = [
    [5, 9, 11, 3, 8],
    [7, 7, 21],
    [5, 9, 11, 3, 8],
    [30, 31, 32, 33, 34, 35, 36],
    [5, 9, 11, 3, 8],
]
NAMES = ["sql", "", "poem", "sql", ""]


def open_llm(known, **settings):
    return LLM(
        str(known.path),
        dtype="float32",
        adapters=known.adapters,
        settings={"select.platform": "cpu", "cache.num_blocks": 64, **settings},
    )


def answers(llm, count=8):
    params = [
        SamplingParams(adapter=name, temperature=0, max_tokens=count, ignore_eos=True, logprobs=1)
        for name in NAMES
    ]
    outputs = [output.outputs[0] for output in llm.generate(PROMPTS, params)]
    assert [output.error for output in outputs] == [None] * len(outputs)
    return outputs


@pytest.mark.parametrize("batching", ["rows", "all"])
@pytest.mark.parametrize("family", ["llama", "qwen"])
def test_each_row_of_a_batch_is_as_with_its_adapter_merged(request, family, batching):
    known = request.getfixturevalue(family)

    with open_llm(known, **{"options.lora.batching": batching}) as llm:
        outputs = answers(llm)

    for name, prompt, output in zip(NAMES, PROMPTS, outputs, strict=True):
        assert list(output.token_ids) == known.greedy(name, prompt, 8)
        expected = known.logprobs(name, [*prompt, *output.token_ids])
        for index, found in enumerate(output.logprobs):
            wanted = float(expected[len(prompt) + index - 1, found.token_id])
            assert found.logprob == pytest.approx(wanted, abs=1e-4)


def test_chunks_and_preemption_change_nothing(llama):
    tight = {"cache.num_blocks": 9, "cache.block_size": 4, "scheduler.max_step_tokens": 6}

    with open_llm(llama, **tight) as llm:
        outputs = answers(llm)
        num_preempted = llm.stats.scheduler.num_preemptions

    assert num_preempted > 0
    for name, prompt, output in zip(NAMES, PROMPTS, outputs, strict=True):
        assert list(output.token_ids) == llama.greedy(name, prompt, 8)


def test_a_prefix_is_shared_only_under_the_same_adapter(llama):
    prompt = list(range(3, 23))

    def cached(llm, name):
        params = SamplingParams(adapter=name, temperature=0, max_tokens=2, ignore_eos=True)
        output = llm.generate(prompt, params)[0]
        assert list(output.outputs[0].token_ids) == llama.greedy(name, prompt, 2)
        return output.metrics.num_cached_tokens

    with open_llm(llama, **{"cache.block_size": 4}) as llm:
        found = [cached(llm, name) for name in ("", "sql", "poem", "sql", "")]

    assert found == [0, 0, 0, 16, 16] or found == [0, 0, 0, 19, 19]


def test_an_adapter_comes_and_goes_while_the_engine_runs(llama):
    prompt = PROMPTS[0]
    params = SamplingParams(adapter="sql", temperature=0, max_tokens=6, ignore_eos=True)
    settings = {"select.platform": "cpu", "select.adapters": "lora", "cache.num_blocks": 32}

    with LLM(str(llama.path), dtype="float32", settings=settings) as llm:
        with pytest.raises(RequestError, match="there is no adapter 'sql'"):
            llm.generate(prompt, params)
        llm.load_adapter("sql", llama.adapters["sql"])
        first = llm.generate(prompt, params)[0].outputs[0].token_ids
        llm.unload_adapter("sql")
        llm.load_adapter("sql", llama.adapters["poem"])
        second = llm.generate(prompt, params)[0].outputs[0].token_ids
        names = llm.adapters

    assert names == ("sql",)
    assert list(first) == llama.greedy("sql", prompt, 6)
    assert list(second) == llama.greedy("poem", prompt, 6)


def test_two_ranks_share_an_adapter(llama):
    with open_llm(llama, **{"executor.tensor_parallel": 2}) as llm:
        outputs = answers(llm, 4)

    for name, prompt, output in zip(NAMES, PROMPTS, outputs, strict=True):
        assert list(output.token_ids) == llama.greedy(name, prompt, 4)


def test_adapters_stand_beside_quantized_linears(llama):
    """Int8 rounds a little: most logits move by far less than the adapter moves them."""
    prompt = PROMPTS[0]
    params = SamplingParams(adapter="sql", temperature=0, max_tokens=1, prompt_logprobs=0)

    with open_llm(llama, **{"select.quantization": "int8"}) as llm:
        found = llm.generate(prompt, params)[0].prompt_logprobs[1:]

    exact = llama.logprobs("sql", prompt)
    plain = llama.logprobs("", prompt)
    errors = [abs(f.logprob - float(exact[i, f.token_id])) for i, f in enumerate(found)]
    moves = [abs(float(plain[i, f.token_id] - exact[i, f.token_id])) for i, f in enumerate(found)]
    assert sum(errors) < 0.2 * sum(moves)


def test_an_adapter_of_another_kind_is_refused_before_the_weights(llama, tmp_path, save_adapter):
    folder = save_adapter(tmp_path / "dora", llama.models[""], seed=3, use_dora=True)

    with pytest.raises(SelectionError, match="adapter 'dora' has use_dora = True"):
        LLM(str(llama.path), adapters={"dora": folder}, settings={"select.platform": "cpu"})


@pytest.mark.parametrize("capture", ["uniform", "any"])
def test_recorded_steps_are_those_with_or_without_adapters(llama, monkeypatch, capture):
    """The late device replays from buffers that keep their addresses, as graphs do."""
    monkeypatch.setattr(TorchSdpaBackend, "capture", capture)
    monkeypatch.setattr(LateDevice, "token_sizes", (16, 32, 48))
    late = {
        "select.platform": "late",
        "select.attention": "torch_sdpa",
        "options.lora.batching": "all",
        "scheduler.max_rows": 12,
        "cache.prefix_caching": False,
        "plugins.local": ("platforms.late=jackfield_testing_torch.late_platform:LatePlatform",),
    }

    with open_llm(llama, **late) as llm:
        outputs = answers(llm)
        plain = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
        without = llm.generate(PROMPTS, plain)
        again = answers(llm)

    for name, prompt, *found in zip(NAMES, PROMPTS, outputs, again, strict=True):
        expected = llama.greedy(name, prompt, 8)
        assert [list(output.token_ids) for output in found] == [expected, expected]
    for prompt, output in zip(PROMPTS, without, strict=True):
        assert list(output.outputs[0].token_ids) == llama.greedy("", prompt, 8)


@pytest.mark.parametrize("batching", ["rows", "all"])
def test_drafts_change_nothing(llama, batching):
    settings = {"speculation.num_tokens": 3, "options.lora.batching": batching}

    with open_llm(llama, **settings) as llm:
        outputs = answers(llm, 24)

    for name, prompt, output in zip(NAMES, PROMPTS, outputs, strict=True):
        assert list(output.token_ids) == llama.greedy(name, prompt, 24)


def test_a_platform_that_takes_no_adapters_says_so(llama):
    with pytest.raises(ConfigError, match="the platform reference takes none"):
        open_llm(llama, **{"select.platform": "reference"})
