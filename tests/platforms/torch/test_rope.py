import pytest
import torch

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Rope, RopeScaling
from jackfield_torch.rope import RopeTable, build_rotate, rope_frequencies

CPU = torch.device("cpu")
PLAIN = Rope(theta=10_000.0, rotary_size=8)


def rotated(x_TMH, rope, positions, dtype=torch.float32):
    rotation = RopeTable(rope, 32, CPU, dtype).rows(torch.tensor(positions))
    return build_rotate(rope, x_TMH.shape[-1])(x_TMH, rotation)


def test_the_first_position_does_not_turn():
    x = torch.randn(1, 3, 8)

    assert torch.equal(rotated(x, PLAIN, [0]), x)


def test_each_pair_turns_by_its_own_angle():
    x = torch.zeros(1, 1, 8)
    x[..., 1] = 1.0  # the second pair is elements 1 and 5, at an angle of 0.1 a token

    y = rotated(x, PLAIN, [7])

    expected = torch.zeros(8)
    expected[1], expected[5] = torch.tensor(0.7).cos(), torch.tensor(0.7).sin()
    assert torch.allclose(y[0, 0], expected, atol=1e-6)


def test_a_product_of_rotated_vectors_depends_on_their_distance_alone():
    q, k = torch.randn(1, 1, 8), torch.randn(1, 1, 8)

    near, far = (
        (rotated(q, PLAIN, [a]) * rotated(k, PLAIN, [b])).sum() for a, b in ((5, 2), (25, 22))
    )

    assert torch.allclose(near, far, atol=1e-5)


def test_elements_behind_the_rotary_size_do_not_turn():
    x = torch.randn(1, 2, 12)

    y = rotated(x, PLAIN, [9])

    assert torch.equal(y[..., 8:], x[..., 8:])
    assert not torch.allclose(y[..., :8], x[..., :8])


def test_the_input_is_left_alone():
    x = torch.randn(2, 2, 8)
    before = x.clone()

    rotated(x, PLAIN, [3, 4])

    assert torch.equal(x, before)


def test_dynamic_scaling_changes_nothing_within_the_original_length():
    scaling = RopeScaling(kind="dynamic", factor=4.0, original_length=32)
    dynamic = Rope(theta=10_000.0, rotary_size=8, scaling=scaling)

    within, beyond = (rope_frequencies(dynamic, length)[0] for length in (16, 64))

    assert torch.equal(within, rope_frequencies(PLAIN, 16)[0])
    assert beyond[-1] < within[-1]


@pytest.mark.parametrize(
    ("scaling", "named"),
    [
        (RopeScaling(kind="longrope", factor=2.0), "longrope"),
        (RopeScaling(kind="dynamic", factor=2.0), "original_length"),
        (RopeScaling(kind="llama3", factor=2.0, original_length=8), "low_frequency"),
    ],
)
def test_a_scaling_that_cannot_be_computed_is_refused_by_name(scaling, named):
    with pytest.raises(UnsupportedModelError, match=named):
        rope_frequencies(Rope(theta=10_000.0, rotary_size=8, scaling=scaling), 16)


@pytest.mark.parametrize("size", [7, 0, 16])
def test_a_rotary_size_that_does_not_fit_the_head_is_refused(size):
    with pytest.raises(UnsupportedModelError, match=f"turns {size} elements"):
        build_rotate(Rope(theta=10_000.0, rotary_size=size), head_size=8)
