"""Memory is estimated from headers, or from the spec if there are none."""

import pytest

from jackfield.dtypes import FLOAT32
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec
from jackfield.startup.estimate import num_parameters

MIXER = 5 * 12 + 5 * 6 + 5 * 6 + 12 * 5  # q, k, v, o


def spec(*, gated=True, **fields):
    layer = Layer(
        mixer=Attention(num_heads=4, num_kv_heads=2, head_size=3, scale=1.0),
        feed_forward=FeedForward(size=7, gated=gated),
        mixer_norm=None,
        feed_forward_norm=None,
    )
    return ModelSpec(
        architecture="Tiny",
        vocab_size=11,
        hidden_size=5,
        max_length=8,
        layers=(layer, layer),
        final_norm=None,
        modules={},
        dtype=FLOAT32,
        end_token_ids=(),
        **fields,
    )


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (spec(tied_head=True), 11 * 5 + 2 * (MIXER + 3 * 5 * 7)),
        (spec(), 2 * 11 * 5 + 2 * (MIXER + 3 * 5 * 7)),
        (spec(tied_head=True, gated=False), 11 * 5 + 2 * (MIXER + 2 * 5 * 7)),
        (spec(tied_head=True, learned_positions=8), 11 * 5 + 8 * 5 + 2 * (MIXER + 3 * 5 * 7)),
    ],
)
def test_every_matrix_of_a_model_is_counted(model, count):
    assert num_parameters(model) == count
