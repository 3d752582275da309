"""Native products of few tokens compute what float64 arithmetic gives, over weights as oneDNN packs them."""

import pytest
import torch

from jackfield_cpu.fused import FusedKernels
from jackfield_cpu.native import ACTIVATIONS, load_library
from jackfield_torch.interfaces.kernels import ProductFacts
from jackfield_torch.layers.activation import activation_function
from jackfield_torch.layers.linear import PackedLinear, _packs

LIBRARY = load_library()
pytestmark = pytest.mark.skipif(
    LIBRARY is None
    or not LIBRARY.jackfield_product_most_tokens()
    or not _packs("cpu", torch.bfloat16),
    reason="not compiled, or no matrix unit",
)
SIZE, OUTPUTS, EPSILON = 192, 320, 1e-5
BOUND = 4e-3  # of the norm of all outputs; they are rounded to 8 bits, and so is the normed input


def make(outputs=OUTPUTS, size=SIZE, *, bias=False, norm=False, activation="", num_threads=2):
    """The weights in rows, and the native product over the packed ones; None if there is none."""
    torch.manual_seed(0)
    weight_OI = (torch.randn(outputs, size) / size**0.5).bfloat16()
    facts = ProductFacts(
        weight_OI=PackedLinear(weight_OI, None).weight_OI,
        bias_O=torch.randn(outputs).bfloat16() if bias else None,
        norm_weight_I=torch.rand(size) + 0.5 if norm else None,
        norm_epsilon=EPSILON,
        activation=activation,
    )
    return weight_OI, facts, FusedKernels(LIBRARY, num_threads).narrow_product(facts)


def exact(weight_OI, facts, x_TI):
    x_TI = x_TI.double()
    if facts.norm_weight_I is not None:
        x_TI = torch.rms_norm(x_TI, x_TI.shape[1:], facts.norm_weight_I.double(), EPSILON)
    y_TO = x_TI @ weight_OI.double().T
    if facts.bias_O is not None:
        y_TO += facts.bias_O.double()
    if facts.activation:
        gate, up = y_TO.chunk(2, -1)
        y_TO = activation_function(facts.activation)(gate) * up
    return y_TO


def error(found_TO, exact_TO):
    return float((found_TO.double() - exact_TO).norm() / exact_TO.norm())


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("num_tokens", [1, 2, 3, 16, 17, 33, 64])
def test_norm_product_bias_and_gate_are_those_of_float64(num_tokens, num_threads):
    weight_OI, facts, run = make(bias=True, norm=True, activation="silu", num_threads=num_threads)
    x_TI = 3 * torch.randn(num_tokens, SIZE).bfloat16()

    assert error(run(x_TI), exact(weight_OI, facts, x_TI)) < BOUND


@pytest.mark.parametrize("num_tokens", [1, 5])
def test_outputs_are_added_in_place_and_rounded_once(num_tokens):
    weight_OI, facts, run = make(bias=True)
    x_TI = torch.randn(num_tokens, SIZE).bfloat16()
    stream_TO = 100 * torch.randn(num_tokens, OUTPUTS).bfloat16()
    expected = exact(weight_OI, facts, x_TI) + stream_TO.double()

    found = run(x_TI, stream_TO)

    assert found is stream_TO
    # Half of the last of 8 bits, and what sums in float32 lose.
    assert ((found.double() - expected).abs() <= expected.abs() * 2**-8 + 1e-4).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_joins_gate_and_up(activation):
    weight_OI, facts, run = make(activation=activation)
    x_TI = torch.randn(6, SIZE).bfloat16()

    assert error(run(x_TI), exact(weight_OI, facts, x_TI)) < BOUND


@pytest.mark.parametrize("num_tokens", [1, 7])
def test_inputs_may_be_a_view_into_a_wider_tensor(num_tokens):
    weight_OI, facts, run = make()
    x_TI = torch.randn(num_tokens, 2 * SIZE).bfloat16()[:, SIZE:]

    assert error(run(x_TI), exact(weight_OI, facts, x_TI)) < BOUND


def test_nan_of_a_token_stays_with_it():
    _, _, run = make(norm=True)
    x_TI = torch.randn(20, SIZE).bfloat16()
    x_TI[7, 3] = float("nan")

    assert run(x_TI).isnan().any(1).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("sizes", [(OUTPUTS, 100), (300, SIZE)], ids=["inputs", "outputs"])
def test_sizes_that_are_padded_when_packed_are_left_to_onednn(sizes):
    assert make(*sizes)[2] is None


def test_weights_in_another_order_are_left_to_onednn(monkeypatch):
    other_OI = PackedLinear(torch.randn(OUTPUTS, SIZE).bfloat16(), None).weight_OI
    address = torch.ops.mkldnn.data_ptr(other_OI)
    monkeypatch.setattr(torch.ops.mkldnn, "data_ptr", lambda weight_OI: address)

    assert make()[2] is None
