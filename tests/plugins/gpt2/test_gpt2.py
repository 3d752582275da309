import pytest

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import Split, Transpose
from jackfield_gpt2.model import gpt2

CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 32,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 16,
}


def spec_of(**changes):
    return gpt2(ConfigReader({**CONFIG, **changes}))


def test_q_k_and_v_are_parts_of_one_transposed_matrix():
    sources = [spec_of().source(f"layers.1.mixer.{name}") for name in "qkv"]

    assert {source.prefix for source in sources} == {"transformer.h.1.attn.c_attn"}
    assert [source.transforms for source in sources] == [
        (Transpose(), Split(0, 64)),
        (Transpose(), Split(64, 128)),
        (Transpose(), Split(128, 192)),
    ]


def test_positions_are_learned_and_bound_the_length():
    spec = spec_of()

    assert (spec.learned_positions, spec.max_length) == (16, 16)
    assert spec.layers[0].mixer.rope is None


def test_attention_may_be_scaled_by_layer_or_not_at_all():
    by_layer = spec_of(scale_attn_by_inverse_layer_idx=True)

    assert [layer.mixer.scale for layer in by_layer.layers] == [0.25, 0.125]
    assert spec_of(scale_attn_weights=False).layers[0].mixer.scale == 1.0


def test_the_last_token_of_its_vocabulary_ends_answers_where_a_config_says_nothing():
    assert spec_of().end_token_ids == (50256,)


@pytest.mark.parametrize("changes", [{"add_cross_attention": True}, {"n_head": 5}])
def test_what_the_spec_cannot_say_is_refused(changes):
    with pytest.raises(UnsupportedModelError, match=next(iter(changes))):
        spec_of(**changes)
