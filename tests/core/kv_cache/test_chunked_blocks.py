"""Blocks of 4 tokens; what a request holds of attention within chunks of positions, and where another can go on."""

import pytest

from jackfield.kv_cache.sizing import blocks_for

TOKENS = list(range(100, 124))  # six blocks


def test_the_blocks_of_a_chunk_are_given_back_when_it_ends(make_books):
    books = make_books(("chunk 8",), num_blocks=6)
    table = books.admit(TOKENS[:8])

    books.manager.extend(table, 7, 8)
    held_at_its_end = books.num_free
    books.manager.extend(table, 8, 9)

    assert held_at_its_end == [4]
    assert books.num_free == [5]


def test_a_block_that_two_chunks_share_is_kept_until_the_second_ends(make_books):
    books = make_books(("chunk 6",), num_blocks=6)
    table = books.admit(TOKENS[:7])

    books.manager.extend(table, 7, 8)

    assert table.first_held == [
        1
    ]  # positions 4 and 5 are of the first chunk, 6 and 7 of the second


def test_a_prefix_that_ends_with_a_chunk_is_hit_without_a_block(make_books):
    books = make_books((None, "chunk 8"), num_blocks=(8, 2))
    table = books.admit(TOKENS[:16], chunk=8)
    books.manager.extend(table, 8, 16)
    books.remember(table, TOKENS[:16])
    books.manager.give_back(table)
    books.admit([7] * 8)  # takes both blocks of the chunked group

    hit = books.find(TOKENS[:20])

    assert hit.num_tokens == 16
    assert hit.first_held == [0, 4]


def test_a_hit_goes_back_to_the_start_of_a_chunk_that_was_evicted(make_books):
    books = make_books((None, "chunk 8"), num_blocks=(8, 3))
    books.cache(TOKENS[:12])
    books.admit([7] * 12)  # takes all blocks of the chunked group

    assert books.find(TOKENS).num_tokens == 8


def test_there_is_no_fork_of_a_chunk_that_has_ended(make_books):
    books = make_books((None, "chunk 8"))
    table = books.admit(TOKENS[:10])
    books.manager.extend(table, 16, 17)

    assert books.manager.fork_prefix(table, 10) is None
    assert books.manager.fork_prefix(table, 16).num_tokens == 16


@pytest.mark.parametrize(
    ("chunk_size", "num_tokens", "blocks"),
    [(8, 90, 2), (6, 90, 2), (7, 90, 3), (1, 90, 1), (8, 3, 1), (90, 12, 3)],
)
def test_a_request_needs_the_blocks_that_a_chunk_can_touch(
    make_groups, chunk_size, num_tokens, blocks
):
    (group,) = make_groups((f"chunk {chunk_size}",))

    assert blocks_for(group, num_tokens, block_size=4) == blocks


def test_one_long_request_fits_a_pool_that_holds_its_chunk(make_books):
    books = make_books(("chunk 6",), num_blocks=2)
    table = books.admit(TOKENS[:1])

    for position in range(1, 24):
        assert books.manager.extend(table, position, position + 1) is not None
