"""Triton's kernels equal float64 products with the dequantised weights: on a card, or in Triton's interpreter."""

import os
from dataclasses import replace

import pytest
import torch

from jackfield_compact.matrix import CompactMatrix, Outliers
from jackfield_compact.tables import e2m1, float8, integers

triton = pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="TRITON_INTERPRET is not 1")
    ),
]
BOUND = {torch.float32: 4e-6, torch.bfloat16: 6e-3}  # relative, of the norm of all outputs
NUM_TOKENS = (1, 2, 20, 130)  # a vector, tiles of two sizes, widened weights
INPUTS, OUTPUTS = 320, 72


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def dtype(request):
    if INTERPRETED and request.param == torch.bfloat16:
        pytest.skip("the interpreter does not multiply bfloat16")
    return request.param


@pytest.fixture(autouse=True)
def random_numbers():
    torch.manual_seed(16)


def matrix(table, bits, *, group_size=64, has_offsets=False, num_inputs=INPUTS):
    num_groups = -(-num_inputs // group_size)
    codes = torch.randint(0, len(table.view(-1, table.shape[-1])[0]), (OUTPUTS, num_inputs))
    return CompactMatrix(
        codes_OI=codes.to(torch.uint8),
        bits=bits,
        table=table,
        scale_OG=(torch.rand(OUTPUTS, num_groups) + 0.5).half(),
        offset_OG=torch.randn(OUTPUTS, num_groups) if has_offsets else None,
        group_I=torch.arange(num_inputs) // group_size,
    )


def zero_points(**sizes):
    """Offsets of whole zero points, as GPTQ and AWQ have them."""
    plain = matrix(integers(4, 8), 4, **sizes)
    zero_OG = torch.randint(0, 16, plain.scale_OG.shape).float()
    return replace(plain, offset_OG=plain.scale_OG.float() * (zero_OG - 8))


def float8_numbers():
    plain = matrix(float8(torch.float8_e4m3fn), 8, group_size=INPUTS)
    return replace(plain, codes_OI=plain.codes_OI & 0x7E)  # 0x7f is no number


def outliers():
    starts = torch.arange(OUTPUTS + 1).int() * 3
    inputs = torch.randint(0, INPUTS, (int(starts[-1]),)).int()
    sparse = Outliers(starts=starts, inputs=inputs, values=torch.randn(len(inputs)))
    return replace(matrix(torch.randn(OUTPUTS, 16), 4, group_size=INPUTS), outliers=sparse)


def act_order(*, is_even):
    ordered = matrix(integers(4, 8), 4, has_offsets=True)
    group_I = ordered.group_I[torch.randperm(INPUTS)]
    return replace(ordered, group_I=group_I if is_even else torch.randint(0, 5, (INPUTS,)))


KINDS = {
    "2 bits, offsets": lambda: matrix(integers(2, 2), 2, has_offsets=True),
    "3 bits": lambda: matrix(integers(3, 4), 3),
    "4 bits, groups of 128": lambda: matrix(integers(4, 8), 4, group_size=128, num_inputs=512),
    "4 bits, groups of 32, offsets": lambda: matrix(
        integers(4, 8), 4, group_size=32, has_offsets=True
    ),
    "4 bits, zero points": zero_points,
    "8 bits, a scale an output": lambda: matrix(integers(8, 128), 8, group_size=INPUTS),
    "float4, groups of 16": lambda: matrix(e2m1(), 4, group_size=16),
    "float8": float8_numbers,
    "tables and outliers": outliers,
    "act-order": lambda: act_order(is_even=True),
    "act-order, groups cut by ranks": lambda: act_order(is_even=False),
}


def linear_of(weights, device, dtype, bias_O=None):
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.linear import DeviceLinear
    from jackfield_compact.device.outliers import SparseWeights

    blocks = block_order(weights, device)
    sparse = weights.outliers and SparseWeights(weights.outliers, device)
    return DeviceLinear(blocks, bias_O, dtype, sparse=sparse)


def distance(found, exact):
    return float((found.double().cpu() - exact).norm() / exact.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dequantised_weights(kind, device, dtype):
    weights = KINDS[kind]()
    bias_O = torch.randn(OUTPUTS)
    linear = linear_of(weights, device, dtype, bias_O)
    inputs = [torch.randn(count, weights.shape[1]).to(dtype) for count in NUM_TOKENS]

    found = [linear(x.to(device)) for x in inputs]

    plain_OI = weights.dequantise().double()
    for y, x in zip(found, inputs, strict=True):
        assert distance(y, x.double() @ plain_OI.T + bias_O.to(dtype).double()) < BOUND[dtype]


@pytest.mark.parametrize("num_tokens", [1, 20, 40])
def test_norm_gate_and_residual_ride_along(num_tokens, device, dtype):
    from jackfield_torch.interfaces.linear import Around

    weights = zero_points()
    small = 0.01 * weights.scale_OG.float()  # so that no gate overflows
    weights = replace(weights, scale_OG=small, offset_OG=0.01 * weights.offset_OG)
    norm_I, x = torch.rand(INPUTS) + 0.5, torch.randn(num_tokens, INPUTS).to(dtype)
    residual = torch.randn(num_tokens, OUTPUTS).to(dtype)
    linear = linear_of(weights, device, dtype)

    gated = linear.narrow(
        Around(norm_weight_I=norm_I.to(device), norm_epsilon=1e-6, activation="silu")
    )(x.to(device))
    added = linear.narrow(Around())(x.to(device), residual.to(device, copy=True))

    plain_OI, wide = weights.dequantise().double(), x.double()
    normed = wide * torch.rsqrt((wide * wide).mean(-1, keepdim=True) + 1e-6) * norm_I.double()
    gate, up = (normed @ plain_OI.T).chunk(2, -1)
    assert distance(gated, torch.nn.functional.silu(gate) * up) < 2 * BOUND[dtype]
    assert distance(added, residual.double() + wide @ plain_OI.T) < BOUND[dtype]


@pytest.mark.gpu
@pytest.mark.parametrize("num_tokens", [2, 60, 130, 300])
@pytest.mark.parametrize("group_size", [128, 256, 1280])
def test_codes_are_decoded_beside_products_on_hopper(num_tokens, group_size):
    from jackfield_compact.device.choice import choose_tile
    from jackfield_compact.device.hopper import fits_hopper, multiply_hopper
    from jackfield_torch.kernels.scratch import Scratch

    device = torch.device("cuda")
    weights = zero_points(group_size=group_size, num_inputs=1280)
    weights = replace(weights, scale_OG=0.01 * weights.scale_OG.float())
    weights = replace(weights, offset_OG=0.01 * weights.offset_OG)
    linear = linear_of(weights, device, torch.bfloat16)
    if not fits_hopper(linear.blocks, torch.bfloat16):
        pytest.skip("this card is no Hopper")
    x = torch.randn(num_tokens, 1280, dtype=torch.bfloat16)
    residual = torch.randn(num_tokens, OUTPUTS, dtype=torch.bfloat16)
    bias_O = torch.randn(OUTPUTS, dtype=torch.bfloat16)

    tiles = [choose_tile(num_tokens, linear.blocks, gated, True) for gated in (False, True)]
    added = multiply_hopper(
        x.to(device), linear.blocks, tiles[0], Scratch(device),
        bias_O=bias_O.to(device), into_TO=residual.to(device, copy=True),
    )  # fmt: skip
    gated = multiply_hopper(x.to(device), linear.blocks, tiles[1], activation="silu")

    exact = x.double() @ weights.dequantise().double().T
    gate, up = exact.chunk(2, -1)
    assert distance(added, exact + bias_O.double() + residual.double()) < BOUND[torch.bfloat16]
    assert distance(gated, torch.nn.functional.silu(gate) * up) < 2 * BOUND[torch.bfloat16]


@pytest.mark.parametrize(("zero", "fits"), [(128, True), (129, False)])
def test_hopper_takes_zeros_that_bfloat16_holds_beside_128(monkeypatch, zero, fits):
    from jackfield_compact.device import hopper
    from jackfield_compact.device.blocks import block_order

    monkeypatch.setattr(hopper, "runs_hopper_kernels", lambda device: True)
    plain = matrix(integers(4, 8), 4, group_size=128, num_inputs=1280)
    zeros = replace(plain, offset_OG=plain.scale_OG.float() * (zero - 8))

    assert hopper.fits_hopper(block_order(zeros, torch.device("cpu")), torch.bfloat16) == fits


@pytest.mark.parametrize(
    ("bits", "kib", "stages"), [(4, 227, 3), (4, 163, 3), (4, 99, 2), (2, 227, 1), (2, 99, 1)]
)
def test_steps_in_flight_fit_into_shared_memory(monkeypatch, bits, kib, stages):
    from jackfield_compact.device import few
    from jackfield_compact.device.blocks import block_order

    monkeypatch.setattr(few, "shared_memory", lambda device: kib << 10)
    monkeypatch.setattr(few, "has_large_memory", lambda device: kib > 200)
    weights = matrix(integers(bits, 2 ** (bits - 1)), bits, num_inputs=1024)
    blocks, x = (
        block_order(weights, torch.device("cpu")),
        torch.zeros(128, 1024, dtype=torch.bfloat16),
    )

    assert few.stages_of(few.FewTile(128, 4, 8), blocks, 128, x, gated=False) == stages


def test_parts_of_a_product_add_up(device, dtype):
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.few import FewTile, multiply_few
    from jackfield_torch.kernels.scratch import Scratch

    weights = matrix(integers(4, 8), 4, group_size=128, num_inputs=1280)
    x = torch.randn(5, 1280).to(dtype)

    blocks, scratch = block_order(weights, device), Scratch(device)
    found = [multiply_few(x.to(device), blocks, FewTile(16, splits), scratch) for splits in (3, 5)]

    exact = x.double() @ weights.dequantise().double().T
    assert all(distance(y, exact) < BOUND[dtype] for y in found)
    assert not scratch.counters.any()


def test_inputs_are_rounded_in_the_order_of_the_bytes_of_the_weights(device):
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.rounding import apply_scales, round_inputs

    weights = float8_numbers()
    x = torch.randn(3, INPUTS)

    blocks = block_order(weights, device)
    rounded, scale_T1 = round_inputs(x.to(device), blocks.width)
    sums = rounded.float() @ blocks.words_OW.view(torch.float8_e4m3fn).float().T
    found = apply_scales(sums, scale_T1, blocks.scales_GO.float().flatten(), None)

    # the interpreter rounds towards zero, which errs twice as much as a card does
    bound = 0.07 if INTERPRETED else 0.04
    assert distance(found, x.double() @ weights.dequantise().double().T) < bound


def test_norm_and_gate_stand_around_rounded_inputs(device):
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.rounding import apply_scales, round_inputs

    weights = float8_numbers()
    weights = replace(weights, scale_OG=0.01 * weights.scale_OG.float())
    x, norm_I = torch.randn(3, INPUTS), torch.rand(INPUTS) + 0.5

    blocks = block_order(weights, device)
    rounded, scale_T1 = round_inputs(x.to(device), blocks.width, norm_I.to(device), 1e-6)
    sums = rounded.float() @ blocks.words_OW.view(torch.float8_e4m3fn).float().T
    scale_O = blocks.scales_GO.float().flatten()
    found = apply_scales(sums, scale_T1, scale_O, None, activation="silu")

    wide = x.double()
    normed = wide * torch.rsqrt((wide * wide).mean(-1, keepdim=True) + 1e-6) * norm_I.double()
    gate, up = (normed @ weights.dequantise().double().T).chunk(2, -1)
    assert distance(found, torch.nn.functional.silu(gate) * up) < (0.14 if INTERPRETED else 0.08)


@pytest.mark.gpu
def test_float8_products_are_those_of_the_dequantised_weights():
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.rounding import RoundedProduct, can_round
    from jackfield_torch.kernels.scratch import Scratch

    device = torch.device("cuda")
    weights = matrix(float8(torch.float8_e4m3fn), 8, group_size=512, num_inputs=512)
    weights = weights.outputs(torch.arange(64))
    weights = replace(weights, codes_OI=weights.codes_OI & 0x7E)
    blocks = block_order(weights, device)
    if not can_round(blocks, torch.bfloat16):
        pytest.skip("this card does not multiply float8")
    product = RoundedProduct(blocks, None, Scratch(device))

    for num_tokens in (
        20,
        300,
        1000,
    ):  # ours on Hopper, one scale with a pass behind it, a scale a token
        x = torch.randn(num_tokens, 512, dtype=torch.bfloat16)
        found = product(x.to(device))
        assert distance(found, x.double() @ weights.dequantise().double().T) < 0.04
