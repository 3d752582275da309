"""Random numbers are a function of seed and position, and look random along both."""

import numpy as np
import torch

from jackfield_torch.sampling.random_numbers import uniform

N = 1 << 14


def numbers(seeds, positions):
    seeds = np.asarray(seeds, np.uint64).view(np.int64)
    positions = np.asarray(positions, np.int64)
    return uniform(torch.from_numpy(seeds), torch.from_numpy(positions)).numpy()


def chi_square(values, num_bins=64):
    counts = np.histogram(values, bins=num_bins, range=(0, 1))[0]
    expected = len(values) / num_bins
    return ((counts - expected) ** 2 / expected).sum()


def test_a_number_depends_on_its_own_seed_and_position_only():
    together = numbers([7, 8, 7, 2**64 - 1], [0, 0, 5, 123456])

    alone = [
        numbers([seed], [position])[0]
        for seed, position in [(7, 0), (8, 0), (7, 5), (2**64 - 1, 123456)]
    ]
    assert together.tolist() == alone
    assert len(set(alone)) == 4


def test_numbers_lie_in_the_half_open_unit_interval():
    values = numbers(np.arange(N), np.zeros(N))

    assert values.min() >= 0
    assert values.max() < 1


def test_positions_of_one_seed_are_uniform():
    # 99.9 % of chi-square with 63 degrees of freedom is 103
    assert chi_square(numbers(np.full(N, 3), np.arange(N))) < 103


def test_neighbouring_seeds_are_uniform_at_one_position():
    assert chi_square(numbers(np.arange(N), np.full(N, 3))) < 103


def test_neighbouring_seeds_and_positions_are_not_correlated():
    grid = numbers(np.repeat(np.arange(128), 128), np.tile(np.arange(128), 128)).reshape(128, 128)

    for other in (grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]):
        mine = grid[1:, 1:] if other.shape != (127, 127) else grid[:-1, :-1]
        assert abs(np.corrcoef(mine.ravel(), other.ravel())[0, 1]) < 0.04


def test_numbers_are_those_of_splitmix64():
    # of the reference implementation (Vigna 2015, splitmix64.c): its third output from state 0 is what position 2 mixes
    # where the mixed seed is 0
    third = 0x06C45D188009454F

    assert numbers([0], [2])[0] == (third >> 11) * 2.0**-53
