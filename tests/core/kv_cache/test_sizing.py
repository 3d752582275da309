import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.cache import FULL, WINDOW, CacheGroup, key_and_value
from jackfield.dtypes import FLOAT32
from jackfield.errors import OutOfMemoryError
from jackfield.kv_cache import CacheBudget
from jackfield.kv_cache.sizing import blocks_for


def group(window=None):
    return CacheGroup(
        index=0,
        kind=FULL if window is None else WINDOW,
        layers=(0,),
        tensors=key_and_value(1, 1, FLOAT32),
        window=window,
    )


def budget(*windows, max_length=64, max_rows=2, max_step_tokens=16, block_size=4, depth=2):
    return CacheBudget(
        groups=[group(window) for window in windows],
        block_size=block_size,
        max_length=max_length,
        max_rows=max_rows,
        max_step_tokens=max_step_tokens,
        depth=depth,
    )


@pytest.mark.parametrize(
    ("window", "num_tokens", "blocks"),
    [(None, 9, 3), (1, 9, 1), (2, 9, 2), (5, 9, 2), (6, 9, 3), (6, 90, 3), (5, 3, 1)],
)
def test_a_request_needs_the_blocks_that_its_window_can_touch(window, num_tokens, blocks):
    assert blocks_for(group(window), num_tokens, block_size=4) == blocks


def test_one_full_group_takes_all_memory():
    assert budget(None).split(1000, [10]) == (100,)


def test_groups_hold_equally_many_tokens():
    assert budget(None, None).split(1000, [10, 30]) == (25, 25)


def test_a_window_group_gets_no_more_than_all_rows_can_use():
    full, window = budget(None, 5).split(10_000, [10, 10])

    # 2 rows of 2 blocks and one that is still read; 3 chunks of 4 blocks
    assert window == 2 * 3 + 3 * 4
    assert full == 1000 - window


def test_in_tight_memory_one_request_of_the_maximum_length_comes_first():
    assert budget(None, 5).split(16 * 10 + 2 * 10, [10, 10]) == (16, 2)


def test_spare_memory_goes_to_the_windows_until_all_groups_hold_the_same():
    assert budget(None, 5).split(16 * 10 + 7 * 10, [10, 10]) == (16, 7)


def test_too_little_memory_is_an_error_that_says_what_would_fit():
    with pytest.raises(OutOfMemoryError) as caught:
        budget(None, 5).split(120, [10, 10])

    message = str(caught.value)
    assert "max_length=64" in message
    assert "at most 40" in message  # 10 blocks in full, 2 in the window group


def test_what_the_error_suggests_does_fit():
    with pytest.raises(OutOfMemoryError) as caught:
        budget(None, 5).split(120, [10, 10])
    fits = int(re.findall(r"at most (\d+)", str(caught.value))[0])

    assert budget(None, 5, max_length=fits).split(120, [10, 10])


def test_memory_for_no_block_at_all_suggests_no_length():
    with pytest.raises(OutOfMemoryError, match="0 tokens would fit") as caught:
        budget(None).split(5, [10])

    assert "set model.max_length" not in str(caught.value)


def test_a_number_of_blocks_holds_for_the_first_group_exactly():
    assert budget(None, 5).in_proportion(100) == (100, 18)
    assert budget(None, 5).in_proportion(17) == (17, 17)


def test_too_few_blocks_are_an_error_that_names_the_least():
    with pytest.raises(OutOfMemoryError, match="at least 16"):
        budget(None).in_proportion(15)


@given(
    st.lists(st.none() | st.integers(1, 40), min_size=1, max_size=3),
    st.integers(1, 5000),
    st.lists(st.integers(1, 30), min_size=3, max_size=3),
)
def test_a_split_fits_and_holds_one_longest_request(windows, cache_bytes, sizes):
    plan, sizes = budget(*windows), sizes[: len(windows)]

    try:
        counts = plan.split(cache_bytes, sizes)
    except OutOfMemoryError:
        assert plan.longest(cache_bytes, sizes) < plan.max_length
        return

    assert sum(count * size for count, size in zip(counts, sizes, strict=True)) <= cache_bytes
    assert all(
        count >= blocks_for(group, plan.max_length, plan.block_size)
        for count, group in zip(counts, plan.groups, strict=True)
    )
