import pickle

import pytest

from jackfield.features import features_in_use
from jackfield.interfaces.model import ConfigReader
from jackfield_llama.model import llama, mistral

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 32,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "max_position_embeddings": 64,
    "eos_token_id": 2,
}


def spec_of(build=llama, **changes):
    return build(ConfigReader({**CONFIG, **changes}))


def test_a_plain_llama_uses_rope_and_nothing_else():
    assert features_in_use(spec_of()) == {"attention.rope"}


def test_all_layers_share_one_cache_group():
    (group,) = spec_of().cache_groups(spec_of().dtype)

    assert (group.layers, group.window) == ((0, 1), None)


def test_a_module_of_a_layer_is_found_under_its_name_in_the_checkpoint():
    assert spec_of().source("layers.1.mixer.q").prefix == "model.layers.1.self_attn.q_proj"


def test_a_tied_head_has_no_place_in_the_checkpoint():
    assert "head" in spec_of().modules
    assert "head" not in spec_of(tie_word_embeddings=True).modules


def test_a_spec_crosses_process_borders():
    assert pickle.loads(pickle.dumps(spec_of())) == spec_of()


@pytest.mark.parametrize(
    ("changes", "window"),
    [({}, 4096), ({"sliding_window": 7}, 7), ({"sliding_window": None}, None)],
)
def test_mistral_has_a_window_unless_its_config_says_null(changes, window):
    assert {layer.mixer.window for layer in spec_of(mistral, **changes).layers} == {window}


def test_mistral_has_eight_kv_heads_unless_its_config_says_otherwise():
    one_each = spec_of(mistral, num_attention_heads=16, num_key_value_heads=None)

    assert spec_of(mistral, num_attention_heads=16).layers[0].mixer.num_kv_heads == 8
    assert one_each.layers[0].mixer.num_kv_heads == 16


@pytest.mark.parametrize("build", [llama, mistral])
def test_token_2_ends_answers_unless_a_config_says_otherwise(build):
    config = {key: value for key, value in CONFIG.items() if key != "eos_token_id"}

    assert build(ConfigReader(config)).end_token_ids == (2,)
    assert spec_of(build, eos_token_id=None).end_token_ids == ()
