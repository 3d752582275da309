"""The figures are documented, allow what rounding does, and no more."""

import re
from pathlib import Path

import pytest
import torch

from jackfield_testing_torch.conformance.tolerances import (
    TOLERANCES,
    ExactSum,
    Tolerance,
    check_attention,
    check_linear,
)

PAGE = Path(__file__).parents[4] / "docs" / "conformance.md"
ROW = re.compile(r"^\| (\w+) \| 2\^(-\d+) \| 2\^(-\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def product(x_TI, weight_OI):
    x_TI, weight_OI = x_TI.double(), weight_OI.double()
    return ExactSum(
        value=x_TI @ weight_OI.T,
        noise=(x_TI.square() @ weight_OI.T.square()).sqrt(),
        reach=x_TI.abs() @ weight_OI.T.abs(),
        num_terms=x_TI.shape[1],
    )


@pytest.fixture(params=TOLERANCES)
def case(request):
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, request.param)
    x_TI, weight_OI = (torch.randn(size, 512, generator=generator).to(dtype) for size in (8, 64))
    return request.param, dtype, product(x_TI, weight_OI)


def test_the_documented_table_is_that_of_the_module():
    section = PAGE.read_text().partition("## Tolerances")[2]

    documented = {
        dtype: Tolerance(2.0 ** int(unit), 2.0 ** int(smallest), int(attention), int(linear))
        for dtype, unit, smallest, attention, linear in ROW.findall(section)
    }

    assert documented == TOLERANCES


@pytest.mark.parametrize("name", TOLERANCES)
def test_units_are_those_of_the_dtype(name):
    facts = torch.finfo(getattr(torch, name))

    assert (TOLERANCES[name].unit, TOLERANCES[name].smallest) == (facts.eps, facts.tiny)


def test_a_rounded_result_is_allowed(case):
    name, dtype, exact = case

    check_linear(exact.value.to(dtype), exact, name)


def test_an_error_of_five_units_is_not(case):
    name, _, exact = case
    found = exact.value + 5 * TOLERANCES[name].unit * exact.noise.mean() + 1e-4 * exact.noise

    with pytest.raises(AssertionError, match="times what is allowed"):
        check_linear(found, exact, name)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_what_is_no_number_is_never_allowed(case, wrong):
    name, dtype, exact = case
    found = exact.value.to(dtype)
    found[3, 5] = wrong

    with pytest.raises(AssertionError, match=r"1 of 512 numbers.*\(3, 5\)"):
        check_attention(found, exact, name)


def test_another_shape_is_named(case):
    name, _, exact = case

    with pytest.raises(AssertionError, match=r"\(8, 63\), not \(8, 64\)"):
        check_linear(exact.value[:, 1:], exact, name)
