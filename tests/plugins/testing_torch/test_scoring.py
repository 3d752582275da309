"""The scorer of benchmarks knows the tokens of an engine with random weights from others."""

import json
from dataclasses import replace

import pytest

from jackfield import LLM, SamplingParams
from jackfield.config import EngineConfig
from jackfield_bench.outputs import ProducedText, RoundedBy
from jackfield_bench.shapes import LLAMA_3_1_8B, QWEN3_0_6B, QWEN3_30B_A3B
from jackfield_testing_torch.scoring import score

pytestmark = pytest.mark.cpu_model
SMALL = {
    "hidden_size": 256, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_size": 16,
    "feed_forward_size": 96, "vocab_size": 512,
}  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[QWEN3_0_6B, LLAMA_3_1_8B, QWEN3_30B_A3B],
    ids=lambda shape: shape.name,
)
def produced(request, tmp_path_factory):
    """A config, and texts of an engine in bfloat16 by line of the report."""
    config, folder = replace(request.param, **SMALL).config, tmp_path_factory.mktemp("shape")
    if "num_experts" in config:
        config |= {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    (folder / "config.json").write_text(json.dumps(config))
    settings = {"select.platform": "cpu", "select.weight_format": "dummy", "model.max_length": 256}
    prompts = [[3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9, 7]]
    texts = {}
    with LLM(str(folder), settings=settings) as llm:
        for work, temperature in (("decode", 0.0), ("offline", 0.6)):
            params = SamplingParams(
                max_tokens=120, temperature=temperature, seed=1, ignore_eos=True
            )
            texts[work] = [
                ProducedText(
                    prompt=prompt, output=output.outputs[0].token_ids, temperature=temperature
                )
                for prompt, output in zip(prompts, llm.generate(prompts, params), strict=True)
            ]
    return config, texts


def test_tokens_of_an_engine_pass(produced):
    config, texts = produced

    scores = score(config, texts, 0, "bfloat16", "cpu")

    assert scores["decode"].is_passed
    assert scores["decode"].exact > 0.9
    assert scores["offline"].is_passed


def test_greedy_tokens_of_another_row_do_not_pass(produced):
    config, texts = produced
    first, *others = texts["decode"]
    wrong = {"decode": [replace(text, output=first.output) for text in others]}

    assert not score(config, wrong, 0, "bfloat16", "cpu")["decode"].is_passed


def test_random_tokens_in_another_order_do_not_pass(produced):
    config, texts = produced
    wrong = {
        "offline": [
            replace(text, output=[*text.output[::2], *text.output[1::2]])
            for text in texts["offline"]
        ]
    }

    assert not score(config, wrong, 0, "bfloat16", "cpu")["offline"].is_passed


def test_tokens_of_rounded_linears_are_scored_by_what_they_stand_for(tmp_path):
    config = replace(LLAMA_3_1_8B, **SMALL).config
    (tmp_path / "config.json").write_text(json.dumps(config))
    rule = [{"match": {"module": "head"}, "use": "unquantized"}, {"use": "int4"}]
    settings = {
        "select.platform": "cpu",
        "select.weight_format": "dummy",
        "select.quantization": rule,
        "model.max_length": 256,
        "options.int4.symmetric": True,
    }
    params = SamplingParams(max_tokens=120, temperature=0.0, ignore_eos=True)
    with LLM(str(tmp_path), settings=settings) as llm:
        (output,) = llm.generate([[3, 1, 4, 1, 5]], params)
    text = ProducedText(prompt=[3, 1, 4, 1, 5], output=output.outputs[0].token_ids, temperature=0.0)
    rounded = RoundedBy("int4", EngineConfig(options={"int4": {"symmetric": True}}))

    (right,) = score(config, {"decode": [text]}, 0, "bfloat16", "cpu", rounded).values()
    (plain,) = score(config, {"decode": [text]}, 0, "bfloat16", "cpu").values()

    assert right.is_passed
    assert right.margin < plain.margin
