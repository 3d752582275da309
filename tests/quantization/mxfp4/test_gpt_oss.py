"""A tiny gpt-oss whose experts are stored in MXFP4 gives the tokens that Transformers gives with the same weights."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from jackfield import LLM, SamplingParams

PROMPT = list(range(3, 20))
CONFIG = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 8,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
PLAIN = [
    "model.layers.*.self_attn",
    "model.layers.*.mlp.router",
    "model.embed_tokens",
    "lm_head",
]


def stored(name, weight):
    """What the checkpoint has of a parameter, which becomes the value of that."""
    if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
        weight.copy_(torch.randn_like(weight) * 0.1)
        return {name: weight.clone()}
    experts, inputs, outputs = weight.shape
    blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
    scales = torch.randint(118, 123, (experts, outputs, inputs // 32), dtype=torch.uint8)
    weight.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    return {f"{name}_blocks": blocks, f"{name}_scales": scales}


@pytest.mark.cpu_model
def test_tokens_are_those_of_transformers(tmp_path):
    torch.manual_seed(0)
    model = GptOssForCausalLM(GptOssConfig(**CONFIG, attn_implementation="eager")).float().eval()
    with torch.no_grad():
        parts = [stored(name, weight) for name, weight in model.named_parameters()]
    save_file({k: v for part in parts for k, v in part.items()}, tmp_path / "model.safetensors")
    quantization = {"quant_method": "mxfp4", "modules_to_not_convert": PLAIN}
    config = {**CONFIG, "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss"}
    (tmp_path / "config.json").write_text(
        json.dumps({**config, "quantization_config": quantization})
    )
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    expected = model.generate(torch.tensor([PROMPT]), **settings)[0, len(PROMPT) :].tolist()

    with LLM(str(tmp_path), dtype="float32") as llm:
        params = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
        found = llm.generate([PROMPT], params)[0].outputs[0].token_ids

    assert list(found) == expected
