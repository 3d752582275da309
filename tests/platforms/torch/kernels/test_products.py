"""Products of few tokens, with the fused operations, equal float64: on an accelerator, or in Triton's interpreter."""

import os

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="TRITON_INTERPRET is not 1")
    ),
]
EPSILON = 1e-6
BOUND = {torch.float32: 1e-6, torch.bfloat16: 6e-3}  # relative, of the norm of all outputs
INPUTS, OUTPUTS = 192, 48


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def dtype(request):
    if INTERPRETED and request.param == torch.bfloat16:
        pytest.skip("the interpreter does not multiply bfloat16")
    return request.param


@pytest.fixture
def draw(device, dtype):
    """Noise of a shape, seeded."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator).to(device, dtype)


def kernels(num_tokens):
    """What can compute that many tokens on any chip; None is the library."""
    from jackfield_torch.kernels.matvec import Tile

    return [Tile(4, 64, 4), Tile(8, 256, 4)] if num_tokens == 1 else [None]


def product_of(tile, device, **facts):
    from jackfield_torch.interfaces.kernels import ProductFacts
    from jackfield_torch.kernels.products import TritonProduct
    from jackfield_torch.kernels.scratch import Scratch

    return TritonProduct(ProductFacts(**facts), lambda *shape: tile, Scratch(torch.device(device)))


def distance(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


def normed(x_TI, weight_I):
    wide = x_TI.double()
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON) * weight_I.double()


@pytest.mark.parametrize("num_tokens", [1, 7])
def test_a_norm_and_a_bias_ride_along(draw, device, dtype, num_tokens):
    x, weight, bias = draw(num_tokens, INPUTS), draw(OUTPUTS, INPUTS), draw(OUTPUTS)
    norm = torch.rand(INPUTS, device=device) + 0.5
    exact = normed(x, norm) @ weight.double().T + bias.double()

    for tile in kernels(num_tokens):
        product = product_of(
            tile, device, weight_OI=weight, bias_O=bias, norm_weight_I=norm, norm_epsilon=EPSILON
        )
        assert distance(product(x), exact) < BOUND[dtype]


@pytest.mark.parametrize("num_tokens", [1, 7])
def test_a_gate_rides_along(draw, device, dtype, num_tokens):
    x, weight = draw(num_tokens, INPUTS), 0.05 * draw(2 * OUTPUTS, INPUTS)
    gate, up = (x.double() @ weight.double().T).chunk(2, -1)

    for tile in kernels(num_tokens):
        product = product_of(tile, device, weight_OI=weight, bias_O=None, activation="silu")
        assert distance(product(x), torch.nn.functional.silu(gate) * up) < BOUND[dtype]


@pytest.mark.parametrize("num_tokens", [1, 7])
def test_outputs_are_added_in_place(draw, device, dtype, num_tokens):
    x, weight, stream = draw(num_tokens, INPUTS), draw(OUTPUTS, INPUTS), draw(num_tokens, OUTPUTS)
    exact = stream.double() + x.double() @ weight.double().T

    for tile in {*kernels(num_tokens), None}:
        into = stream.clone()
        product = product_of(tile, device, weight_OI=weight, bias_O=None)
        assert product(x, into) is into
        assert distance(into, exact) < BOUND[dtype]


def test_more_tokens_than_any_tile_is_for_go_to_the_library(device, dtype, draw):
    """Another product of the layer may serve them."""
    weight_OI, x_TI = draw(OUTPUTS, INPUTS), draw(300, INPUTS)
    product = product_of(None, device, weight_OI=weight_OI, bias_O=None)

    assert distance(product(x_TI), x_TI.double() @ weight_OI.double().T) < BOUND[dtype]
