import pytest

from jackfield.features import features_in_use
from jackfield.interfaces.model import ConfigReader
from jackfield_qwen.model import qwen2, qwen3

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 32,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "sliding_window": 8,
    "max_window_layers": 2,
}


def spec_of(build, **changes):
    return build(ConfigReader({**CONFIG, **changes}))


def windows_of(spec):
    return [layer.mixer.window for layer in spec.layers]


def test_qwen2_has_biases_on_q_k_and_v_alone():
    assert features_in_use(spec_of(qwen2)) == {"attention.rope", "attention.qkv_bias"}


def test_qwen3_has_norms_over_heads_of_128():
    spec = spec_of(qwen3)

    assert features_in_use(spec) == {"attention.rope", "attention.q_norm", "attention.k_norm"}
    assert spec.layers[0].mixer.head_size == 128


@pytest.mark.parametrize("build", [qwen2, qwen3])
def test_windows_count_only_on_request_and_from_a_layer_on(build):
    assert windows_of(spec_of(build)) == [None, None, None]
    assert windows_of(spec_of(build, use_sliding_window=True)) == [None, None, 8]


@pytest.mark.parametrize("build", [qwen2, qwen3])
def test_without_a_window_there_is_none_even_on_request(build):
    spec = spec_of(build, use_sliding_window=True, sliding_window=None)

    assert windows_of(spec) == [None, None, None]


@pytest.mark.parametrize("build", [qwen2, qwen3])
def test_32_kv_heads_are_meant_where_a_config_says_nothing(build):
    config = {key: value for key, value in CONFIG.items() if key != "num_key_value_heads"}
    spec = build(ConfigReader({**config, "num_attention_heads": 64}))

    assert spec.layers[0].mixer.num_kv_heads == 32
