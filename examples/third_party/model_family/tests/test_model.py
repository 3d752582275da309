"""Published configs are read, and configs with another meaning are refused."""

import pytest
from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield_testing.plugins import load_plugin

PUBLISHED = {  # the keys that count of the 3B release's config.json
    "architectures": ["Starcoder2ForCausalLM"],
    "eos_token_id": 0,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 3072,
    "intermediate_size": 12288,
    "max_position_embeddings": 16384,
    "norm_epsilon": 1e-05,
    "num_attention_heads": 24,
    "num_hidden_layers": 30,
    "num_key_value_heads": 2,
    "rope_theta": 999999.4420358813,
    "sliding_window": 4096,
    "use_bias": True,
    "vocab_size": 49152,
}


@pytest.fixture
def build():
    return load_plugin("jackfield.models", "Starcoder2ForCausalLM")


def test_a_published_config_is_read(build):
    spec = build(ConfigReader(PUBLISHED))

    mixer = spec.layers[29].mixer
    assert (mixer.head_size, mixer.num_kv_heads, mixer.window) == (128, 2, 4096)
    assert mixer.rope.theta == PUBLISHED["rope_theta"]
    assert spec.tied_head


def test_an_activation_that_the_spec_cannot_say_is_refused(build):
    with pytest.raises(UnsupportedModelError, match="hidden_act='tanh'"):
        build(ConfigReader({**PUBLISHED, "hidden_act": "tanh"}))
