"""A draw inverts the cumulative distribution, at any size of vocabulary."""

import numpy as np
import pytest
import torch

from jackfield_torch.sampling.draw import draw
from jackfield_torch.sampling.random_numbers import uniform

SIZES = [1, 2, 255, 256, 257, 5000]


def expected(weights, numbers):
    """The first index whose cumulative weight exceeds number * total, in float64."""
    ends = weights.double().numpy().cumsum(-1)
    return [int(np.searchsorted(e, u * e[-1], "right")) for e, u in zip(ends, numbers, strict=True)]


@pytest.mark.parametrize("size", SIZES)
def test_a_draw_is_the_inverse_of_the_cumulative_distribution(size):
    generator = torch.Generator().manual_seed(size)
    weights = torch.rand(64, size, generator=generator) ** 4
    numbers = torch.rand(64, generator=generator, dtype=torch.float64)

    assert draw(weights, numbers).tolist() == expected(weights, numbers.numpy())


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_a_token_without_weight_is_never_drawn(number, size, place):
    weights = torch.zeros(1, size)
    weights[0, place] = 1e-30

    drawn = draw(weights, torch.tensor([number], dtype=torch.float64))

    assert drawn.tolist() == [place % size]


@pytest.mark.parametrize("seed", range(20))
def test_the_ends_of_the_unit_interval_draw_the_first_and_the_last_weight(seed):
    weights = torch.rand(1, 3000, generator=torch.Generator().manual_seed(seed))
    weights[0, :5] = weights[0, -7:] = 0

    low = draw(weights, torch.tensor([0.0], dtype=torch.float64))
    high = draw(weights, torch.tensor([1 - 2.0**-53], dtype=torch.float64))

    assert (low.item(), high.item()) == (5, 2992)


def test_a_row_draws_the_same_alone_and_among_others():
    weights = torch.rand(9, 1000, generator=torch.Generator().manual_seed(0))
    numbers = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)

    alone = [draw(weights[i : i + 1], numbers[i : i + 1]).item() for i in range(9)]

    assert draw(weights, numbers).tolist() == alone


def test_tokens_come_as_often_as_their_weight_says():
    num_draws = 20_000
    weights = torch.tensor([0.5, 0.0, 1.0, 3.0, 0.25, 2.0])
    numbers = uniform(torch.full((num_draws,), 11), torch.arange(num_draws))

    drawn = draw(weights.expand(num_draws, -1), numbers)

    counts = torch.bincount(drawn, minlength=6).double()
    expected_counts = weights.double() / weights.sum() * num_draws
    assert counts[1] == 0
    used = weights > 0
    chi_square = ((counts - expected_counts)[used] ** 2 / expected_counts[used]).sum()
    assert chi_square < 18.5  # 99.9 % with 4 degrees of freedom


def test_a_row_that_holds_a_nan_disturbs_no_other():
    weights = torch.rand(3, 700, generator=torch.Generator().manual_seed(0))
    numbers = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    expected_tokens = draw(weights, numbers)[[0, 2]].tolist()
    weights[1, 300] = torch.nan

    assert draw(weights, numbers)[[0, 2]].tolist() == expected_tokens
