"""Experts, which GGUF keeps in one tensor, are those of the checkpoint that Transformers saved, one by one."""

import re

import gguf
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from jackfield.dtypes import FLOAT32
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield_gguf.format import GgufFormat
from jackfield_qwen.moe import qwen3_moe

CONFIG = Qwen3MoeConfig(
    vocab_size=40, hidden_size=32, moe_intermediate_size=64, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_experts=4, num_experts_per_tok=2,
    norm_topk_prob=True, max_position_embeddings=128, eos_token_id=2, bos_token_id=1,
    rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Tensors by their names in Transformers' checkpoint, and its config."""
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    Qwen3MoeForCausalLM(CONFIG).save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module", params=["F32", "Q8_0"])
def opened(request, saved, tmp_path_factory):
    """The same as a GGUF file, experts plain or in blocks."""
    path = tmp_path_factory.mktemp("written") / "model.gguf"
    write(path, saved, gguf.GGMLQuantizationType[request.param])
    with GgufFormat().open(ModelFiles(reference=str(path), path=path)) as checkpoint:
        yield checkpoint


def write(path, saved, kind):
    """What the converter does: experts are stacked under one name."""
    writer = gguf.GGUFWriter(path, "qwen3moe")
    for key, value in {
        "context_length": 128, "embedding_length": 32, "block_count": 2, "feed_forward_length": 64,
        "head_count": 4, "head_count_kv": 2, "key_length": 16, "layer_norm_rms_eps": CONFIG.rms_norm_eps,
        "rope_freq_base": 5000.0, "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 64,
    }.items():  # fmt: skip
        getattr(writer, f"add_{key}")(value)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3MOE, 2)
    stacked = {}
    for name, tensor in saved.items():
        stacked.setdefault(re.sub(r"experts\.\d+", "experts", name), []).append((name, tensor))
    for name, tensors in stacked.items():
        stored = names.get_name(name, (".weight",))
        if "_exps" in stored:
            whole = torch.stack([tensor for _, tensor in sorted(tensors)]).numpy()
            writer.add_tensor(stored, gguf.quants.quantize(whole, kind), raw_dtype=kind)
        else:
            writer.add_tensor(stored, tensors[0][1].numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_tensors_are_those_that_transformers_saved(opened, saved):
    assert set(opened.tensors) == set(saved)
    for name, tensor in saved.items():
        info = opened.tensors[name]
        assert info.dtype == FLOAT32
        found = torch.frombuffer(bytearray(opened.read(name)), dtype=torch.float32)
        torch.testing.assert_close(found.reshape(info.shape), tensor, rtol=0, atol=1e-3)


def test_the_config_gives_the_spec_of_the_original(opened):
    original = {**CONFIG.to_dict(), "architectures": ["Qwen3MoeForCausalLM"], "dtype": "bfloat16"}

    assert qwen3_moe(ConfigReader(opened.config)) == qwen3_moe(ConfigReader(original))
