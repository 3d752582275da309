import pytest

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_rope,
    make_spec,
    read_activation,
    read_dtype,
    read_end_token_ids,
    read_feed_forward,
    read_max_length,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Layer, RopeScaling

YARN = {"factor": 4.0, "original_max_position_embeddings": 16}


def config(**values):
    return ConfigReader({"architectures": ["Acme"], "max_position_embeddings": 64, **values})


def shape(**values):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    return read_shape(config(**{**sizes, **values}))


def test_heads_share_the_hidden_size_and_keep_their_own_keys_by_default():
    assert (shape().head_size, shape().num_kv_heads) == (16, 4)


def test_a_head_may_have_a_size_of_its_own():
    assert shape(head_dim=24, num_attention_heads=6, num_key_value_heads=3).head_size == 24


def test_kv_heads_that_a_config_leaves_out_are_the_familys_and_null_is_one_for_each_head():
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}

    assert read_shape(config(**sizes), default_kv_heads=2).num_kv_heads == 2
    null = config(**sizes, num_key_value_heads=None)
    assert read_shape(null, default_kv_heads=2).num_kv_heads == 4


def test_attention_of_a_shape_is_scaled_by_its_head_size_unless_said_otherwise():
    assert shape().attention(window=8).scale == 0.25
    assert shape().attention(window=8).window == 8
    assert shape().attention(scale=1.0).scale == 1.0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"num_key_value_heads": 3}, "num_key_value_heads=3"),
        ({"num_attention_heads": 5}, "num_attention_heads=5"),
        ({"hidden_size": "64"}, "hidden_size='64'"),
        ({"num_hidden_layers": None}, "lacks 'num_hidden_layers'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_key_and_value(values, named):
    with pytest.raises(UnsupportedModelError, match=named):
        shape(**values)


def test_old_and_new_keys_of_rope_say_the_same():
    new = config(rope_parameters={"rope_type": "yarn", "rope_theta": 5000.0, **YARN})
    old = config(rope_theta=5000.0, rope_scaling={"type": "yarn", **YARN})

    assert read_rope(new, 16) == read_rope(old, 16)
    assert read_rope(new, 16).scaling == RopeScaling(kind="yarn", factor=4.0, original_length=16)


def test_a_rope_without_settings_is_plain():
    rope = read_rope(config(), 16, default_theta=77.0)

    assert (rope.theta, rope.rotary_size, rope.scaling) == (77.0, 16, None)


def test_a_config_says_what_share_of_a_head_rotates():
    assert read_rope(config(partial_rotary_factor=0.5), 16, default_share=0.25).rotary_size == 8
    assert read_rope(config(), 16, default_share=0.25).rotary_size == 4


def test_a_share_is_left_unread_by_an_architecture_that_rotates_whole_heads():
    reader = config(partial_rotary_factor=0.5)

    assert read_rope(reader, 16).rotary_size == 16
    assert "partial_rotary_factor" in reader.unread


def test_a_scaling_without_original_length_scales_the_context_of_the_config():
    for kind in ("dynamic", "yarn"):
        rope = make_rope(
            config(), 16, {"rope_type": kind, "rope_theta": 1e4, "factor": 2, "beta_fast": 8}
        )

        assert rope.scaling is not None
        assert rope.scaling.original_length == 64


@pytest.mark.parametrize("key", ["rope_theta", "rope_type", "partial_rotary_factor", "factor"])
def test_nonsense_in_a_table_of_rope_is_refused_by_key(key):
    table = {"rope_type": "linear", "factor": 2.0, key: ["nonsense"]}

    with pytest.raises(UnsupportedModelError, match=f"{key}=.'nonsense'"):
        read_rope(config(rope_parameters=table), 16, default_share=1.0)


def test_an_unknown_scaling_is_refused_by_name():
    with pytest.raises(UnsupportedModelError, match="rope_type='spiral'.*llama3"):
        read_rope(config(rope_scaling={"rope_type": "spiral"}), 16)


def test_a_scaling_without_its_factor_is_refused():
    with pytest.raises(UnsupportedModelError, match="config of Acme lacks 'factor'"):
        read_rope(config(rope_scaling={"rope_type": "linear"}), 16)


@pytest.mark.parametrize(
    ("scaling", "length"),
    [
        (None, 64),
        ({"type": "linear", "factor": 2.0}, 128),
        ({"type": "dynamic", "factor": 3.0}, 192),
        ({"type": "yarn", "factor": 4.0}, 256),
        ({"type": "yarn", **YARN}, 64),
        ({"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}, 64),
    ],
)
def test_the_length_of_a_model_counts_what_its_scaling_adds(scaling, length):
    reader = config(rope_scaling=scaling)

    assert read_max_length(reader, read_rope(reader, 16)) == length


def test_windows_stand_where_the_config_says():
    kinds = ["sliding_attention", "full_attention"]

    assert read_windows(config(layer_types=kinds), 2, 8, lambda layer: False) == (8, None)
    assert read_windows(config(), 3, 8, lambda layer: layer > 0) == (None, 8, 8)
    assert read_windows(config(), 2, None, lambda layer: True) == (None, None)


@pytest.mark.parametrize(
    ("kinds", "window", "named"),
    [
        (["chunked_attention", "full_attention"], 8, "layer_types='chunked_attention'"),
        (["full_attention"], 8, "one entry for each of the 2 layers"),
        (["sliding_attention"] * 2, None, "sliding_window=None"),
    ],
)
def test_layer_types_that_no_spec_can_say_are_refused(kinds, window, named):
    with pytest.raises(UnsupportedModelError, match=named):
        read_windows(config(layer_types=kinds), 2, window, lambda layer: False)


def test_an_unknown_activation_is_refused_with_the_known_ones():
    with pytest.raises(UnsupportedModelError, match="hidden_act='snake'; supported: .*silu"):
        read_activation(config(hidden_act="snake"))


def test_a_feed_forward_has_the_familys_activation_unless_the_config_has_one():
    absent = read_feed_forward(config(intermediate_size=80), activation="relu", gated=False)
    given = read_feed_forward(config(intermediate_size=80, act="silu"), key="act")

    assert (absent.size, absent.activation, absent.gated) == (80, "relu", False)
    assert given.activation == "silu"


def one_layer(rope):
    mixer = shape().attention(rope=rope)
    forward = read_feed_forward(config(intermediate_size=80))
    return Layer(mixer=mixer, feed_forward=forward, mixer_norm=None, feed_forward_norm=None)


def test_a_spec_is_as_long_as_the_one_rope_of_its_layers_makes_it():
    reader = config(vocab_size=96, hidden_size=64, rope_scaling={"type": "linear", "factor": 2.0})
    scaled, plain = one_layer(read_rope(reader, 16)), one_layer(None)

    assert make_spec(reader, layers=(scaled, scaled), final_norm=None).max_length == 128
    assert make_spec(reader, layers=(scaled, plain), final_norm=None).max_length == 64


def test_an_end_token_that_is_absent_is_the_familys_and_null_is_none():
    assert read_end_token_ids(config(), 7) == (7,)
    assert read_end_token_ids(config(eos_token_id=None), 7) == ()
    assert read_end_token_ids(config()) == ()


def test_end_tokens_that_are_no_ids_are_refused():
    for value in ("nonsense", ["nonsense"]):
        with pytest.raises(UnsupportedModelError, match="eos_token_id=.*nonsense"):
            read_end_token_ids(config(eos_token_id=value))


@pytest.mark.parametrize(("value", "ids"), [(None, ()), (2, (2,)), ([1, 106], (1, 106))])
def test_end_tokens_are_none_one_or_several(value, ids):
    assert read_end_token_ids(config(eos_token_id=value)) == ids


def test_the_dtype_stands_under_the_new_key_or_the_old():
    assert read_dtype(config(dtype="bfloat16")).name == "bfloat16"
    assert read_dtype(config(torch_dtype="float16")).name == "float16"
    assert read_dtype(config()).name == "float32"


def test_keys_that_nobody_asked_for_are_known_also_of_readers_made_of_a_reader():
    read = config(attention_chunk_size=5, hidden_size=64, hidden_act="gelu", logit_scale=None)

    read.filled(rope_theta=1.0).require("hidden_size", int)
    read.get("hidden_act", str)

    assert "attention_chunk_size" in read.unread
    assert not {"hidden_size", "hidden_act", "logit_scale"} & set(read.unread)
