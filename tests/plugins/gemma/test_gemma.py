import pytest

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield_gemma.model import gemma, gemma2, gemma3

CONFIG = {
    "architectures": ["GemmaForCausalLM"],
    "vocab_size": 32,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "sliding_window": 8,
}


def spec_of(build, **changes):
    return build(ConfigReader({**CONFIG, **changes}))


def windows_of(spec):
    return [layer.mixer.window for layer in spec.layers]


@pytest.mark.parametrize("build", [gemma, gemma2, gemma3])
def test_embeddings_are_scaled_and_norms_are_stored_minus_one(build):
    spec = spec_of(build)

    assert spec.embedding_scale == 8.0
    assert spec.final_norm.weight_offset == 1.0
    assert spec.tied_head


def test_gemma_means_the_tanh_form_where_it_says_gelu():
    assert spec_of(gemma, hidden_act="gelu").layers[0].feed_forward.activation == "gelu_tanh"


def test_gemma_reads_another_activation():
    assert spec_of(gemma, hidden_act="relu").layers[0].feed_forward.activation == "relu"


@pytest.mark.parametrize(("build", "num_kv_heads"), [(gemma, 16), (gemma2, 4), (gemma3, 4)])
def test_kv_heads_are_the_familys_own_where_a_config_says_nothing(build, num_kv_heads):
    config = {key: value for key, value in CONFIG.items() if key != "num_key_value_heads"}
    spec = build(ConfigReader({**config, "num_attention_heads": 32}))

    assert spec.layers[0].mixer.num_kv_heads == num_kv_heads


@pytest.mark.parametrize("build", [gemma, gemma2, gemma3])
def test_token_1_ends_answers_where_a_config_says_nothing(build):
    assert spec_of(build).end_token_ids == (1,)


def test_gemma2_alternates_windows_and_starts_with_one():
    assert windows_of(spec_of(gemma2)) == [8, None, 8, None, 8, None, 8]


def test_soft_caps_of_gemma2_have_defaults_that_null_takes_away():
    none = spec_of(gemma2, attn_logit_softcapping=None, final_logit_softcapping=None)

    assert (spec_of(gemma2).layers[0].mixer.soft_cap, spec_of(gemma2).logit_soft_cap) == (50, 30)
    assert (none.layers[0].mixer.soft_cap, none.logit_soft_cap) == (None, None)


def test_gemma3_sees_everything_in_every_sixth_layer_with_a_rope_of_its_own():
    spec = spec_of(gemma3, rope_scaling={"rope_type": "linear", "factor": 8.0})

    assert windows_of(spec) == [8, 8, 8, 8, 8, None, 8]
    full, local = spec.layers[5].mixer.rope, spec.layers[0].mixer.rope
    assert (full.theta, full.scaling.factor) == (1_000_000, 8.0)
    assert (local.theta, local.scaling) == (10_000, None)


def test_gemma3_has_two_cache_groups():
    groups = spec_of(gemma3).cache_groups(spec_of(gemma3).dtype)

    assert [(group.window, group.layers) for group in groups] == [
        (None, (5,)),
        (8, (0, 1, 2, 3, 4, 6)),
    ]


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (gemma, {"hidden_activation": "relu"}),  # beside a hidden_act that means gelu
        (gemma2, {"sliding_window": None}),
        (gemma2, {"sliding_window": None, "layer_types": ["sliding_attention"] * 7}),
        (gemma, {"use_bidirectional_attention": True}),
        (gemma2, {"use_bidirectional_attention": True}),
        (gemma3, {"use_bidirectional_attention": True}),
        (gemma3, {"attn_logit_softcapping": 50.0}),
    ],
)
def test_what_the_spec_cannot_say_is_refused(build, changes):
    with pytest.raises(UnsupportedModelError, match=next(iter(changes))):
        spec_of(build, **changes)


def test_a_table_of_rope_that_is_none_is_refused_by_key():
    with pytest.raises(UnsupportedModelError, match="full_attention='nonsense'"):
        spec_of(gemma3, rope_parameters={"full_attention": "nonsense"})
