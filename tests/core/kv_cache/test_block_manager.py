import pytest

TOKENS = list(range(100, 112))  # three blocks


# Prefix hits


def test_a_prompt_that_was_never_seen_has_no_hit(make_books):
    books = make_books()

    assert books.find(TOKENS).num_tokens == 0


def test_full_blocks_of_an_equal_prefix_are_hit(make_books):
    books = make_books()
    cached = books.cache(TOKENS)

    hit = books.find([*TOKENS[:8], 7, 7, 7])

    assert hit.num_tokens == 8
    assert hit.block_ids == [cached.block_ids[0][:2]]


def test_a_partial_block_is_no_hit(make_books):
    books = make_books()
    books.cache(TOKENS[:10])

    assert books.find(TOKENS).num_tokens == 8


def test_a_full_hit_leaves_the_last_token_to_compute(make_books):
    books = make_books()
    books.cache(TOKENS)

    assert books.find(TOKENS).num_tokens == 11


def test_another_salt_shares_nothing(make_books):
    books = make_books()
    books.cache(TOKENS, salt="tenant a")

    assert books.find(TOKENS, salt="tenant b").num_tokens == 0


def test_without_prefix_caching_nothing_is_hit(make_books):
    books = make_books(prefix_caching=False)
    books.cache(TOKENS)

    assert books.find(TOKENS).num_tokens == 0


def test_what_was_not_computed_is_no_hit(make_books):
    books = make_books()
    table = books.admit(TOKENS, chunk=6)
    books.remember(table, TOKENS, num_computed=6)

    assert books.find(TOKENS).num_tokens == 4


def test_a_hit_shares_blocks_that_are_in_use(make_books):
    books = make_books()
    table = books.admit(TOKENS)
    books.remember(table, TOKENS)

    other = books.admit([*TOKENS[:8], 7])

    assert other.block_ids[0][:2] == table.block_ids[0][:2]
    assert books.manager.pools[0].ref_counts[:3] == [2, 2, 1]


def test_the_tail_of_a_request_is_evicted_before_its_head(make_books):
    books = make_books(num_blocks=3)
    books.cache(TOKENS)

    books.admit([7])

    assert books.find(TOKENS).num_tokens == 8


# Windows


def test_a_hit_needs_only_the_window_blocks_that_the_next_query_sees(make_books):
    books = make_books(windows=(None, 5))  # 4 tokens before the query
    table = books.admit(TOKENS)
    books.remember(table, TOKENS)
    books.manager.give_back(table)
    pool = books.manager.pools[1]
    for block in table.block_ids[1][:2]:
        pool.forget(block)  # as if evicted

    hit = books.find([*TOKENS, 7])

    assert hit.num_tokens == 12
    assert hit.first_held == [0, 2]


def test_a_window_group_without_the_last_blocks_makes_a_hit_shorter(make_books):
    books = make_books(windows=(None, 5))
    table = books.cache(TOKENS)
    books.manager.pools[1].forget(table.block_ids[1][2])

    hit = books.find([*TOKENS, 7])

    assert hit.num_tokens == 8
    assert hit.first_held == [0, 1]


def test_a_hit_that_no_window_can_serve_is_none(make_books):
    books = make_books(windows=(None, 50))
    table = books.cache(TOKENS)
    books.manager.pools[1].forget(table.block_ids[1][0])

    assert books.find([*TOKENS, 7]).num_tokens == 0


def test_two_windows_settle_on_what_both_can_serve(make_books):
    books = make_books(windows=(None, 5, 9))
    table = books.cache(TOKENS)
    books.manager.pools[1].forget(table.block_ids[1][2])  # at most 8
    books.manager.pools[2].forget(table.block_ids[2][1])  # 8 and 12 are impossible

    assert books.find([*TOKENS, 7]).num_tokens == 4


def test_a_full_hit_needs_the_block_that_the_last_token_sees(make_books):
    books = make_books(windows=(None, 5))
    table = books.cache(TOKENS)  # the last token, at 11, sees 7 to 11
    books.manager.pools[1].forget(table.block_ids[1][1])

    assert books.find(TOKENS).num_tokens == 4
    assert books.find([*TOKENS, 7]).num_tokens == 12


def test_blocks_behind_the_window_are_given_back(make_books):
    books = make_books(windows=(None, 5))
    table = books.admit(TOKENS)
    assert books.num_free == [5, 5]

    books.manager.extend(table, 12, 13)  # sees 8 to 12

    assert books.num_free == [4, 6]
    assert table.first_held == [0, 2]
    assert [len(ids) for ids in table.block_ids] == [4, 4]


def test_window_groups_get_blocks_for_the_first_chunk_only(make_books):
    books = make_books(windows=(None, 5))

    table = books.admit(TOKENS, chunk=4)

    assert [len(ids) for ids in table.block_ids] == [3, 1]


def test_one_long_request_fits_a_pool_that_holds_its_window(make_books):
    books = make_books(windows=(5,), num_blocks=3)
    chunk = books.manager.longest_chunk
    table = books.admit([0] * 100, chunk=chunk)

    for start in range(chunk, 100, chunk):
        assert books.manager.extend(table, start, start + chunk) is not None


# Taking


def test_a_request_that_does_not_fit_takes_nothing(make_books):
    books = make_books(windows=(None, None), num_blocks=(8, 2))

    assert books.admit(TOKENS) is None
    assert books.num_free == [8, 2]


def test_spare_blocks_are_not_touched(make_books):
    books = make_books(num_blocks=4)

    assert books.admit(TOKENS, spare=2) is None
    assert books.admit(TOKENS, spare=1) is not None


def test_cached_blocks_that_are_hit_count_as_taken(make_books):
    books = make_books(num_blocks=4)
    books.cache(TOKENS)

    assert books.admit([*TOKENS, 7], spare=1) is None
    assert books.admit([*TOKENS, 7]) is not None


def test_a_table_grows_in_all_groups_or_in_none(make_books):
    books = make_books(windows=(None, None), num_blocks=(4, 3))
    table = books.admit(TOKENS)

    assert books.manager.extend(table, 12, 13) is None
    assert [len(ids) for ids in table.block_ids] == [3, 3]
    assert books.num_free == [1, 0]


def test_a_table_that_reaches_far_enough_does_not_grow(make_books):
    books = make_books()
    table = books.admit(TOKENS[:5])

    assert books.manager.extend(table, 5, 8) == []


# Copy-on-write


def test_the_tail_of_a_full_hit_is_copied_where_another_uses_it(make_books):
    books = make_books()
    table = books.admit(TOKENS)
    books.remember(table, TOKENS)

    other = books.admit(TOKENS)

    (copy,) = books.copies
    assert copy.source == table.block_ids[0][2]
    assert copy.target == other.block_ids[0][2] != copy.source
    assert other.block_ids[0][:2] == table.block_ids[0][:2]


def test_the_tail_of_a_full_hit_is_changed_in_place_where_nobody_uses_it(make_books):
    books = make_books(num_blocks=3)
    books.cache(TOKENS)

    table = books.admit(TOKENS)

    assert (table is not None, books.copies) == (True, [])
    assert books.find([*TOKENS, 7]).num_tokens == 8  # what is about to change is not offered


def test_the_source_of_a_copy_is_held_until_its_step_was_resolved(make_books):
    books = make_books()
    table = books.admit(TOKENS)
    books.remember(table, TOKENS)
    books.admit(TOKENS)
    source, pool = table.block_ids[0][2], books.manager.pools[0]

    books.manager.step_planned(0)
    books.manager.give_back(table)
    assert pool.ref_counts[source] == 2
    books.manager.step_resolved(0)

    assert pool.ref_counts[source] == 0


def test_a_fork_shares_full_blocks_and_copies_a_partial_tail(make_books):
    books = make_books()
    table = books.admit(TOKENS[:7])

    hit = books.manager.fork_prefix(table, 6)
    child = books.admit(TOKENS[:7], hit=hit)

    assert child.block_ids[0][0] == table.block_ids[0][0]
    assert [(copy.source, copy.target) for copy in books.copies] == [
        (table.block_ids[0][1], child.block_ids[0][1])
    ]


def test_a_fork_at_the_border_of_a_block_copies_nothing(make_books):
    books = make_books()
    table = books.admit(TOKENS[:5])

    child = books.admit(TOKENS[:5], hit=books.manager.fork_prefix(table, 4))

    assert (child.block_ids[0][0], books.copies) == (table.block_ids[0][0], [])


def test_there_is_no_fork_when_the_window_has_moved_on(make_books):
    books = make_books(windows=(None, 5))
    table = books.admit(TOKENS)
    books.manager.extend(table, 12, 13)

    assert books.manager.fork_prefix(table, 11) is None
    assert books.manager.fork_prefix(table, 12) is not None


# Giving back


def test_blocks_wait_for_the_newest_step_in_flight(make_books):
    books = make_books(num_blocks=3)
    table = books.admit(TOKENS)
    books.manager.step_planned(0)
    books.manager.step_planned(1)

    books.manager.give_back(table)
    books.manager.step_resolved(0)
    assert (books.num_free, books.manager.has_returning) == ([0], True)
    books.manager.step_resolved(1)

    assert (books.num_free, books.manager.has_returning) == ([3], False)


def test_blocks_return_at_once_where_nothing_is_in_flight(make_books):
    books = make_books(num_blocks=3)
    table = books.admit(TOKENS)
    books.manager.step_planned(0)
    books.manager.step_resolved(0)

    books.manager.give_back(table)

    assert books.num_free == [3]


def test_a_window_block_dropped_in_flight_is_still_remembered(make_books):
    books = make_books(windows=(2,))
    table = books.admit(TOKENS)
    books.manager.step_planned(0)
    books.manager.extend(table, 12, 13)  # drops blocks 0 and 1 while step 0 writes them

    books.remember(table, TOKENS)
    books.manager.step_resolved(0)

    assert books.find(TOKENS[:5]).num_tokens == 4


# What fits


@pytest.mark.parametrize(
    ("windows", "num_blocks", "longest"),
    [((None,), 3, 12), ((None, None), (5, 3), 12), ((None, 5), (9, 2), 36), ((5,), 1, 4)],
)
def test_the_longest_request_is_what_the_tightest_group_holds(
    make_books, windows, num_blocks, longest
):
    assert make_books(windows, num_blocks).manager.longest_request == longest


def test_a_window_that_fits_bounds_no_request(make_books):
    assert make_books((5,), 2).manager.longest_request > 10**9


def test_usage_is_that_of_the_fullest_group(make_books):
    books = make_books(windows=(None, None), num_blocks=(12, 6))

    books.admit(TOKENS)

    assert books.manager.usage == 0.5
