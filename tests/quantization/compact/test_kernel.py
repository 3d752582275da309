"""The compiled kernel equals float64 products with the dequantised weights, at every level of this processor."""

from dataclasses import replace

import pytest
import torch

from jackfield_compact.kernel import Level, kernel_level
from jackfield_compact.matrix import CompactMatrix, Outliers
from jackfield_compact.native import NativeLinear, RoundingLinear
from jackfield_compact.tables import e2m1, float8, integers

LEVELS = [Level.PORTABLE, Level.AVX512, Level.AMX]
NUM_ROWS = (1, 2, 7, 16, 17, 40, 530)  # one by one, few, a tile, tiles that overlap, two slabs


@pytest.fixture(params=LEVELS, ids=lambda level: level.name)
def level(request):
    if request.param > kernel_level():
        pytest.skip(f"the best that this machine has is {kernel_level().name}")
    return request.param


@pytest.fixture(autouse=True)
def random_numbers():
    torch.manual_seed(16)


def matrix(table, bits, *, group_size=64, has_offsets=True, num_outputs=70, num_inputs=164):
    """Sizes that are no multiples of blocks, tiles and groups."""
    num_groups = -(-num_inputs // group_size)
    return CompactMatrix(
        codes_OI=torch.randint(0, 2**bits, (num_outputs, num_inputs), dtype=torch.uint8),
        bits=bits,
        table=table,
        scale_OG=(torch.rand(num_outputs, num_groups) + 0.5).half(),
        offset_OG=torch.randn(num_outputs, num_groups) if has_offsets else None,
        group_I=torch.arange(num_inputs) // group_size,
    )


def act_order():
    ordered = matrix(integers(4, 8), 4)
    return replace(ordered, group_I=ordered.group_I[torch.randperm(164)])


def with_outliers():
    plain = matrix(torch.randn(70, 16), 4, group_size=164, has_offsets=False)
    starts = torch.arange(71).int() * 2
    inputs = torch.randint(0, 164, (140,), dtype=torch.int32)
    return replace(plain, outliers=Outliers(starts=starts, inputs=inputs, values=torch.randn(140)))


KINDS = {
    "2 bits": lambda: matrix(integers(2, 2), 2),
    "3 bits": lambda: matrix(integers(3, 4), 3, has_offsets=False),
    "4 bits": lambda: matrix(integers(4, 8), 4),
    "8 bits": lambda: matrix(integers(8, 128), 8),
    "float4": lambda: matrix(e2m1(), 4, group_size=16, has_offsets=False),
    "float8": lambda: matrix(
        float8(torch.float8_e4m3fn), 8, group_size=164, has_offsets=False, num_inputs=1300
    ),
    "tables and outliers": with_outliers,
    "act-order": act_order,
}


def largest_error(linear, expected, dtype, num_inputs):
    """Relative, over all numbers of rows."""
    errors = []
    for num_rows in NUM_ROWS:
        x = torch.randn(num_rows, num_inputs).to(dtype)
        wanted = expected(x.double())
        errors.append(((linear(x) - wanted).norm() / wanted.norm()).item())
    return max(errors)


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dequantised_weights(kind, level):
    weights = KINDS[kind]()
    bias = torch.randn(70)
    whole = weights.dequantise().double()

    linear = NativeLinear(weights, bias, level)

    def expected(x):
        return x @ whole.T + bias

    assert largest_error(linear, expected, torch.float32, whole.shape[1]) < 1e-6
    # inputs, results and, for many rows, weights are rounded to bfloat16
    assert largest_error(linear, expected, torch.bfloat16, whole.shape[1]) < 4e-3


def test_whole_numbers_are_multiplied_exactly(level):
    if level == Level.PORTABLE:
        pytest.skip("inputs are not rounded there")
    weights = matrix(integers(8, 128), 8, group_size=1300, has_offsets=False, num_inputs=1300)
    whole = weights.dequantise().double()

    linear = RoundingLinear(weights, None, level)

    def expected(x):
        step = x.abs().amax(1, keepdim=True) / 127
        return (x / step).round() * step @ whole.T

    assert largest_error(linear, expected, torch.bfloat16, 1300) < 4e-3


def test_a_number_that_is_none_reaches_the_output_of_its_row_alone(level):
    weights = matrix(integers(8, 128), 8, group_size=164, has_offsets=False)
    linears = [NativeLinear(weights, None, level)]
    if level > Level.PORTABLE:
        linears.append(RoundingLinear(weights, None, level))
    for linear in linears:
        for num_rows in (3, 20):
            x = torch.randn(num_rows, 164).bfloat16()
            x[1, 5] = torch.nan

            y = linear(x)

            assert y[1].isnan().all()
            assert not y[[0, 2]].isnan().any()
