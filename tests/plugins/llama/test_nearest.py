"""A checkpoint of no known architecture is compared with those that are."""

import pytest

from jackfield.config import PluginSettings
from jackfield.discovery.registry import PluginRegistry
from jackfield.interfaces.model import ConfigReader
from jackfield.startup.nearest import nearest

CONFIG = {
    "architectures": ["WobbleForCausalLM"], "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2,
    "intermediate_size": 16, "vocab_size": 20, "max_position_embeddings": 32, "rms_norm_eps": 1e-6,
    "hidden_act": "silu", "tie_word_embeddings": True,
}  # fmt: skip
LLAMA = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj", "input_layernorm", "post_attention_layernorm",
)  # fmt: skip


@pytest.fixture(scope="module")
def registry():
    return PluginRegistry.scan(PluginSettings())


def tensors(*of_a_layer):
    layers = [f"model.layers.{i}.{name}.weight" for i in range(2) for name in of_a_layer]
    return ["model.embed_tokens.weight", "model.norm.weight", *layers]


def test_the_nearest_is_told_with_what_differs(registry):
    found = nearest(registry, CONFIG | {"wobble_size": 3}, tensors(*LLAMA, "mlp.wobble"))

    assert (found.others, found.lacking) == (("model.layers.*.mlp.wobble.weight",), ())
    assert "wobble_size" in found.unread
    assert str(found).startswith("Nearest is ")
    assert "also has the tensors model.layers.*.mlp.wobble.weight" in str(found)


def test_norms_of_queries_and_keys_tell_the_families_apart(registry):
    of_qwen3 = (*LLAMA, "self_attn.q_norm", "self_attn.k_norm")

    found = nearest(
        registry, CONFIG | {"head_dim": 4, "num_key_value_heads": 2}, tensors(*of_qwen3)
    )

    assert (found.alike, found.others, found.lacking) == (1.0, (), ())
    assert "Qwen3" in found.architecture


def test_a_checkpoint_like_no_other_has_none(registry):
    assert nearest(registry, CONFIG, ["encoder.conv.weight", "decoder.lstm.bias"]) is None


def test_a_key_that_another_architecture_read_is_told_all_the_same(registry):
    reader = ConfigReader(CONFIG | {"wobble_size": 3})
    reader.get("wobble_size", int)  # as a plugin that takes any architecture does

    found = nearest(registry, reader.values, tensors(*LLAMA))

    assert "wobble_size" in found.unread


def test_norms_without_weights_have_no_tensors(registry):
    without = [name for name in LLAMA if "norm" not in name]

    found = nearest(registry, CONFIG, [n for n in tensors(*without) if "norm" not in n])

    assert (found.architecture, found.others, found.lacking) == ("OlmoForCausalLM", (), ())
