"""Products of several tokens with plain matrices on Hopper equal float64."""

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton is not installed")
pytestmark = pytest.mark.gpu
BOUND = 6e-3  # relative, of the norm of all outputs
TOKENS = [2, 33, 130, 300]
OUTPUTS, INPUTS = 208, 4224  # no whole tiles, no whole stages
DEVICE = torch.device("cuda")


@pytest.fixture(autouse=True)
def poison():
    """Memory that is not written shows."""
    torch.manual_seed(0)
    poisoned = torch.full((1 << 24,), float("nan"), device=DEVICE)
    del poisoned


def draw(*shape):
    return torch.randn(shape, device=DEVICE).to(torch.bfloat16)


def distance(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


def tiles(num_tokens, weight_OI):
    from jackfield_torch.kernels.hopper import HopperTile, fits_hopper, hopper_tile

    if not fits_hopper(weight_OI):
        pytest.skip("this card is no Hopper")
    by_rule = hopper_tile(num_tokens, len(weight_OI), weight_OI.shape[1] * weight_OI.itemsize)
    return [
        *([] if by_rule is None else [by_rule]),
        HopperTile(128, 1, 3, 1, 4, tokens=128),
        HopperTile(128, 1, 4, 1, 8),
        HopperTile(64, 3, 4, 2, 4, tokens=64),
    ]


@pytest.mark.parametrize("num_tokens", TOKENS)
def test_a_bias_and_a_sum_ride_along(num_tokens):
    from jackfield_torch.kernels.hopper import multiply_hopper
    from jackfield_torch.kernels.scratch import Scratch

    x, weight, bias = draw(num_tokens, INPUTS), draw(OUTPUTS, INPUTS), draw(OUTPUTS)
    stream = draw(num_tokens, OUTPUTS)
    exact = x.double() @ weight.double().T + bias.double()
    scratch = Scratch(DEVICE)

    for tile in tiles(num_tokens, weight):
        found = multiply_hopper(x, weight, tile, scratch, bias_O=bias)
        added = multiply_hopper(x, weight, tile, scratch, bias_O=bias, into_TO=stream.clone())
        assert distance(found, exact) < BOUND
        assert distance(added, exact + stream.double()) < BOUND


@pytest.mark.parametrize("num_tokens", TOKENS)
def test_a_gate_rides_along(num_tokens):
    from jackfield_torch.kernels.hopper import multiply_hopper
    from jackfield_torch.kernels.scratch import Scratch

    x, weight = draw(num_tokens, INPUTS), 0.02 * draw(2 * OUTPUTS, INPUTS)
    gate, up = (x.double() @ weight.double().T).chunk(2, -1)

    for tile in tiles(num_tokens, weight):
        found = multiply_hopper(x, weight, tile, Scratch(DEVICE), activation="silu")
        assert distance(found, torch.nn.functional.silu(gate) * up) < BOUND


@pytest.mark.parametrize("num_tokens", TOKENS)
def test_float8_is_scaled_by_rows_and_tokens(num_tokens):
    from jackfield_torch.kernels.hopper import Scales, multiply_hopper
    from jackfield_torch.kernels.scratch import Scratch

    inputs = INPUTS
    x = draw(num_tokens, inputs).to(torch.float8_e4m3fn)
    weight = (0.02 * draw(2 * OUTPUTS, inputs)).to(torch.float8_e4m3fn)
    scales = Scales(torch.rand(2 * OUTPUTS, device=DEVICE), torch.rand(num_tokens, device=DEVICE))
    exact = x.double() @ weight.double().T * scales.row_O * scales.token_T[:, None]
    gate, up = exact.chunk(2, -1)

    for tile in tiles(num_tokens, weight):
        scratch = Scratch(DEVICE)
        found = multiply_hopper(x, weight, tile, scratch, scales=scales)
        gated = multiply_hopper(x, weight, tile, scratch, scales=scales, activation="silu")
        assert distance(found, exact) < BOUND
        assert distance(gated, torch.nn.functional.silu(gate) * up) < BOUND


@pytest.mark.parametrize("num_tokens", TOKENS)
def test_a_norm_adds_parts_up(num_tokens):
    from jackfield_torch.kernels.hopper import HopperTile, multiply_hopper
    from jackfield_torch.kernels.norm import add_rms_norm

    x, weight, bias = draw(num_tokens, INPUTS), draw(OUTPUTS, INPUTS), draw(OUTPUTS)
    stream, norm = draw(num_tokens, OUTPUTS), torch.rand(OUTPUTS, device=DEVICE) + 0.5
    exact = stream.double() + x.double() @ weight.double().T + bias.double()
    tiles(num_tokens, weight)  # skips where there is no Hopper

    parts = multiply_hopper(x, weight, HopperTile(64, 5, 2), bias_O=bias, apart=True)
    normed = add_rms_norm(stream, parts, norm, 1e-6)

    scale = torch.rsqrt(exact.square().mean(-1, keepdim=True) + 1e-6)
    assert distance(stream, exact) < BOUND
    assert distance(normed, exact * scale * norm) < BOUND
