"""Experts of a tiny Qwen3-MoE, stored or rounded by each scheme, give the logits of their weights dequantised plainly."""

import json
from pathlib import Path
from runpy import run_path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from jackfield import LLM, SamplingParams

pytestmark = pytest.mark.cpu_model
HERE = Path(__file__).parent
TOKENS = [(7 * i + 3) % 96 for i in range(30)]
SETTINGS = {
    "cache.num_blocks": 32,
    "model.dtype": "float32",
    "plugins.probe": "inline",
    "scheduler.max_step_tokens": 16,  # prompts are cut
}
CONFIG = Qwen3MoeConfig(
    vocab_size=96, hidden_size=128, moe_intermediate_size=192, intermediate_size=192, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, head_dim=32, num_experts=6, num_experts_per_tok=2,
    norm_topk_prob=True, max_position_embeddings=128, attn_implementation="eager",
)  # fmt: skip


class Fp8Tensor:
    """A scale for the whole matrix."""

    name = method = "fp8"
    settings = {"activation_scheme": "static"}  # noqa: RUF012

    def quantise(self, weight_OI):
        scale = weight_OI.abs().max() / 448
        return {
            "weight": (weight_OI / scale).to(torch.float8_e4m3fn),
            "weight_scale": scale,
            "input_scale": torch.ones(()),
        }

    def dequantise(self, tensors):
        return tensors["weight"].float() * tensors["weight_scale"]


def kit(scheme, name):
    return run_path(str(HERE / scheme / "test_conformance.py"))[name]()


STORED = {
    "gptq": lambda: kit("gptq", "TestSymmetric"),
    "gptq act order": lambda: kit("gptq", "TestActOrder"),
    "awq": lambda: kit("awq", "TestGemm"),
    "fp8 blocks": lambda: kit("fp8", "TestStored"),
    "fp8": Fp8Tensor,
    "compressed_tensors": lambda: kit("compressed_tensors", "TestPacked"),
    "mxfp4": lambda: kit("mxfp4", "TestMxfp4"),
}
ROUNDED = {
    "int4": lambda: kit("int4", "TestInt4"),
    "int8": lambda: kit("int8", "TestInt8"),
    "fp8": lambda: kit("fp8", "TestWhileLoading"),
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Qwen3MoeForCausalLM(CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.1)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The folder of the plain model, and its tensors by name."""
    folder = tmp_path_factory.mktemp("plain")
    model.save_pretrained(folder)
    return folder, load_file(folder / "model.safetensors")


def is_matrix(name):
    return name.endswith("_proj.weight")


def expected_logits(folder, tensors, tmp_path):
    """Those that Transformers gives with the weights of `tensors`."""
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    model = Qwen3MoeForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0].log_softmax(-1)


def found_logits(path, settings=None):
    with LLM(str(path), settings={**SETTINGS, **(settings or {})}) as llm:
        params = SamplingParams(max_tokens=1, prompt_logprobs=96, temperature=0.0)
        (output,) = llm.generate([TOKENS], params)
    rows = torch.full((len(TOKENS) - 1, 96), -torch.inf)
    for row, entry in zip(rows, output.prompt_logprobs[1:], strict=True):
        row[list(entry.top_ids)] = torch.tensor(entry.top_logprobs)
    return rows


def assert_same(found, expected):
    assert (found - expected[:-1]).abs().max() < 2e-4 * expected.abs().max()


@pytest.mark.parametrize("case", STORED)
def test_stored_experts_are_read(saved, tmp_path, case):
    folder, tensors = saved
    scheme = STORED[case]()
    stored, plain = {}, dict(tensors)
    for name, tensor in tensors.items():
        if not is_matrix(name):
            stored[name] = tensor
            continue
        parts = scheme.quantise(tensor)
        plain[name] = scheme.dequantise(parts).float().contiguous()
        module = name.removesuffix(".weight")
        stored |= {f"{module}.{part}": value.contiguous() for part, value in parts.items()}
    path = tmp_path / "quantized"
    path.mkdir()
    save_file(stored, path / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": scheme.method, **quantization(scheme)}
    (path / "config.json").write_text(json.dumps(config))

    assert_same(found_logits(path), expected_logits(folder, plain, tmp_path))


def quantization(scheme):
    if scheme.method != "compressed-tensors":
        return scheme.settings
    groups = {"group_0": {"targets": ["Linear"], **scheme.settings}}
    return {"config_groups": groups, "format": scheme.settings["format"], "ignore": ["lm_head"]}


@pytest.mark.parametrize("case", ROUNDED)
def test_experts_are_rounded_while_they_load(saved, tmp_path, case):
    folder, tensors = saved
    scheme = ROUNDED[case]()
    plain = {
        name: scheme.dequantise({"weight": tensor}).float().contiguous()
        if is_matrix(name) or name == "lm_head.weight"
        else tensor
        for name, tensor in tensors.items()
    }

    found = found_logits(folder, {"select.quantization": scheme.name})

    assert_same(found, expected_logits(folder, plain, tmp_path))
