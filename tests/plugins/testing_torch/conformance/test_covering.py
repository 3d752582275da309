"""Few combinations hold every pair."""

from itertools import combinations, product

import pytest

from jackfield_testing_torch.conformance.covering import covering

AXES = {"a": (1, 2, 3), "b": ("x", "y", "z"), "c": (False, True), "d": (None, 4)}


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_all_combinations_of_so_many_axes_occur(strength):
    choices = list(covering(AXES, strength))

    for names in combinations(AXES, strength):
        shown = {tuple(choice[name] for name in names) for choice in choices}
        assert shown == set(product(*(AXES[name] for name in names)))


def test_pairs_need_far_fewer_choices_than_the_product():
    assert 9 <= len(list(covering(AXES))) <= 11 < 36


@pytest.mark.parametrize("strength", [4, 99])
def test_the_highest_strength_is_the_product(strength):
    choices = [tuple(choice.values()) for choice in covering(AXES, strength)]

    assert choices == list(product(*AXES.values()))


def test_the_order_is_the_same_every_time():
    assert list(covering(AXES)) == list(covering(AXES))
