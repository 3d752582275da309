from hypothesis import given
from hypothesis import strategies as st

from jackfield.kv_cache import BlockPool

A, B = b"a", b"b"


def test_blocks_are_first_taken_in_their_order():
    pool = BlockPool(3)

    assert [pool.take() for _ in range(3)] == [0, 1, 2]


def test_a_block_is_free_when_its_last_reference_is_released():
    pool = BlockPool(2)
    block = pool.take()
    pool.share(block)

    pool.release(block)
    assert pool.num_free == 1
    pool.release(block)
    assert pool.num_free == 2


def test_a_released_block_is_still_found_by_its_content():
    pool = BlockPool(2)
    block = pool.take()
    pool.remember(block, A)
    pool.release(block)

    assert pool.find(A) == block


def test_a_cached_block_that_is_shared_again_is_not_free():
    pool = BlockPool(1)
    block = pool.take()
    pool.remember(block, A)
    pool.release(block)

    pool.share(block)

    assert (pool.num_free, pool.ref_counts[block]) == (0, 1)


def test_the_cached_block_released_first_is_evicted_first():
    pool = BlockPool(2)
    first, second = pool.take(), pool.take()
    pool.remember(first, A)
    pool.remember(second, B)
    pool.release(second)
    pool.release(first)

    taken = pool.take()

    assert taken == second
    assert (pool.find(A), pool.find(B)) == (first, None)


def test_a_hit_makes_a_cached_block_the_last_to_be_evicted():
    pool = BlockPool(2)
    first, second = pool.take(), pool.take()
    pool.remember(first, A)
    pool.remember(second, B)
    pool.release(first)
    pool.release(second)

    pool.share(first)
    pool.release(first)

    assert pool.take() == second


def test_blocks_without_content_are_taken_before_cached_ones():
    pool = BlockPool(3)
    cached, plain, other = (pool.take() for _ in range(3))
    pool.remember(cached, A)
    pool.release(cached)
    pool.release(plain)

    assert pool.take() == plain
    assert other != plain


def test_of_two_blocks_with_one_content_the_first_is_found():
    pool = BlockPool(2)
    first, second = pool.take(), pool.take()
    pool.remember(first, A)
    pool.remember(second, A)
    pool.release(second)  # has no content of its own to keep

    assert pool.find(A) == first
    assert pool.take() == second
    assert pool.find(A) == first


def test_letters_tell_what_blocks_hold_and_leave_out_blocks_of_large_pools():
    pool = BlockPool(8)
    used, shared, kept, _ = pool.take_many(4)
    pool.share(shared)
    pool.remember(kept, b"x")
    for block in (kept, 3):
        pool.release(block)

    assert used == 0
    assert pool.letters(8) == "usc....."
    assert pool.letters(4) == "uc.."
    assert pool.letters(3) == "u.."


def test_a_forgotten_block_is_not_found():
    pool = BlockPool(1)
    block = pool.take()
    pool.remember(block, A)

    pool.forget(block)

    assert pool.find(A) is None


def ring(pool: BlockPool, links: list[int]) -> list[int]:
    blocks, block = [], links[pool.num_blocks]
    while block != pool.num_blocks:
        blocks.append(block)
        block = links[block]
    return blocks


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "share", "find", "release", "forget"]), st.integers(0, 20)
        )
    )
)
def test_the_free_list_holds_exactly_the_blocks_without_references(steps):
    pool = BlockPool(5)
    owned: list[int] = []
    content: dict[bytes, int] = {}

    for verb, number in steps:
        if verb == "take" and pool.num_free:
            block = pool.take()
            content = {name: held for name, held in content.items() if held != block}
            owned.append(block)
            name = str(number).encode()
            pool.remember(block, name)
            content.setdefault(name, block)
        elif verb == "share" and owned:
            owned.append(owned[number % len(owned)])
            pool.share(owned[-1])
        elif verb == "find" and content:
            block = content[sorted(content)[number % len(content)]]
            pool.share(block)
            owned.append(block)
        elif verb == "release" and owned:
            pool.release(owned.pop(number % len(owned)))
        elif verb == "forget" and owned:
            block = owned[number % len(owned)]
            pool.forget(block)
            content = {name: held for name, held in content.items() if held != block}

        free = ring(pool, pool._next)
        assert ring(pool, pool._previous) == free[::-1]
        assert sorted([*free, *set(owned)]) == list(range(5))
        assert pool.num_free == len(free)
        assert pool.ref_counts == [owned.count(block) for block in range(5)]
        assert all(pool.find(name) == block for name, block in content.items())
