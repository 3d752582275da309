"""The algorithms do what their papers say they do."""

import pytest
import torch

from jackfield_quantize.schemes.awq import InputSums, Rounding, find_scale, quantise_awq
from jackfield_quantize.schemes.gptq import Hessian, quantise_gptq
from jackfield_quantize.schemes.means import nearest, weighted_means
from jackfield_quantize.schemes.nearest import quantise_nearest
from jackfield_quantize.schemes.squeezellm import find_tables, fitted_codes, nearest_codes

SIZE = 64


@pytest.fixture
def weight():
    return torch.randn(48, 2 * SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def inputs():
    """Correlated, and some much larger than others."""
    generator = torch.Generator().manual_seed(2)
    mixed = torch.randn(400, 32, generator=generator) @ torch.randn(
        32, 2 * SIZE, generator=generator
    )
    sizes = torch.logspace(-1, 1, 2 * SIZE)[torch.randperm(2 * SIZE, generator=generator)]
    return (mixed + torch.randn(400, 2 * SIZE, generator=generator)) * sizes


def hessian_of(inputs, kind=Hessian):
    found = kind(inputs.shape[1], torch.device("cpu"))
    for chunk in inputs.split(100):
        found.add(chunk)
    return found


def output_error(weight, found, inputs):
    return float((inputs.double() @ (found - weight).double().T).norm())


def test_the_hessian_is_that_of_the_squared_error(inputs):
    found = hessian_of(inputs).mean()

    torch.testing.assert_close(found, 2 * inputs.T @ inputs / len(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_gptq_leaves_far_less_error_in_outputs_than_rounding(weight, inputs, bits, symmetric):
    words = {"bits": bits, "group_size": SIZE, "symmetric": symmetric}
    rounded = quantise_nearest(weight, **words).dequantise()

    found = quantise_gptq(weight, hessian_of(inputs).mean(), **words).dequantise()

    ours = output_error(weight, found, inputs)
    assert ours < 0.6 * output_error(weight, rounded, inputs)


def test_gptq_takes_inputs_that_were_never_seen(weight, inputs):
    inputs[:, 5] = 0.0

    found = quantise_gptq(
        weight, hessian_of(inputs).mean(), bits=4, group_size=SIZE, symmetric=True
    ).dequantise()

    assert found.isfinite().all()
    assert (found[:, 5] - weight[:, 5]).abs().max() < 1.5


def test_awq_leaves_less_error_in_outputs_than_rounding(weight, inputs):
    rounding = Rounding(bits=4, group_size=SIZE, symmetric=False)
    sums = hessian_of(inputs, InputSums)
    rounded = rounding.rounded(weight)

    scale = find_scale(weight, sums, torch.arange(2 * SIZE), rounding)
    hessian = sums.mean() / scale / scale.unsqueeze(1)
    found = quantise_awq(weight * scale, hessian, rounding).dequantise() / scale

    assert output_error(weight, found, inputs) < 0.8 * output_error(weight, rounded, inputs)


def test_awq_gives_one_scale_to_inputs_of_one_channel(weight, inputs):
    channels = torch.arange(2 * SIZE) % SIZE

    scale = find_scale(
        weight, hessian_of(inputs, InputSums), channels, Rounding(4, SIZE, symmetric=False)
    )

    assert len(scale) == SIZE


def test_means_do_not_move_any_more(weight):
    importance = torch.rand(weight.shape, generator=torch.Generator().manual_seed(3))

    table = weighted_means(weight, importance, 8)

    codes = nearest(weight, table)
    for output in range(4):
        for code in range(8):
            chosen = codes[output] == code
            mean = (weight[output] * importance[output])[chosen].sum() / importance[output][
                chosen
            ].sum()
            torch.testing.assert_close(table[output, code], mean, rtol=1e-3, atol=1e-3)


def test_sensitive_weights_lie_nearer_to_their_table(weight):
    sensitivity = torch.ones_like(weight)
    sensitivity[:, ::8] = 1000.0

    found = nearest_codes(weight, find_tables(weight, sensitivity, bits=3)).dequantise()

    error = (found - weight).square()
    assert error[:, ::8].mean() < 0.2 * error.mean()


def test_sparse_weights_keep_their_value(weight):
    weight[3, 4] = 40.0

    found = nearest_codes(weight, find_tables(weight, torch.ones_like(weight), bits=3, sparse=0.01))

    torch.testing.assert_close(found.dequantise()[3, 4], weight[3, 4])
    assert int((found.outliers_OI != 0).sum()) == round(0.01 * weight.numel())


@pytest.mark.parametrize("sparse", [0.0, 0.01])
def test_fitted_tables_leave_far_less_error_in_outputs(weight, inputs, sparse):
    tables = find_tables(weight, torch.ones_like(weight), bits=3, sparse=sparse)
    plain = nearest_codes(weight, tables).dequantise()

    found = fitted_codes(weight, tables, hessian_of(inputs).mean()).dequantise()

    assert output_error(weight, found, inputs) < 0.5 * output_error(weight, plain, inputs)


def test_fitted_tables_are_the_best_ones_for_their_codes(weight, inputs):
    hessian = hessian_of(inputs).mean()
    fitted = fitted_codes(weight, find_tables(weight, torch.ones_like(weight), bits=3), hessian)
    error = output_error(weight, fitted.dequantise(), inputs)

    for code in range(8):
        for step in (-0.02, 0.02):
            fitted.table_OK[:, code] += step
            assert output_error(weight, fitted.dequantise(), inputs) > 0.995 * error
            fitted.table_OK[:, code] -= step
