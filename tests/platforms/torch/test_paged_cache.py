"""Keys and values land in their slots whatever the layout in memory, and blocks are copied in all layers."""

import itertools

import pytest
import torch

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport, key_and_value
from jackfield.dtypes import BFLOAT16, FLOAT8_E4M3, FLOAT8_E5M2, FLOAT32
from jackfield.errors import SelectionError
from jackfield_torch.paged_cache import CacheScales, GroupCache, choose_layout

GROUP = CacheGroup(index=0, kind="full", layers=(1, 3), tensors=key_and_value(2, 4, FLOAT32))
ORDERS = ["KBSHD", "BKSHD", "KBHSD", "BSKHD", "KHBSD"]


def make_cache(order="KBSHD", block_size=3, num_blocks=5):
    layout = CacheLayout(order=order, block_size=block_size, dtype=FLOAT32)
    return GroupCache(GROUP, layout, num_blocks, 2, torch.device("cpu"))


@pytest.mark.parametrize("order", ORDERS)
def test_a_token_is_read_back_from_its_slot(order):
    cache = make_cache(order)
    store = cache.layers[3]
    slots = torch.tensor([14, 0, 7])
    k, v = torch.randn(2, 3, 2, 4)

    store.write(k, v, cache.places(slots))

    for index, slot in enumerate(slots.tolist()):
        assert torch.equal(store.views.key_BSHD[slot // 3, slot % 3], k[index])
        assert torch.equal(store.views.value_BSHD[slot // 3, slot % 3], v[index])


@pytest.mark.parametrize("order", ORDERS)
def test_a_write_touches_nothing_else(order):
    cache = make_cache(order)
    for store in cache.layers.values():
        store.views.key_BSHD.fill_(7)
        store.views.value_BSHD.fill_(7)

    zeros, places = torch.zeros(1, 2, 4), cache.places(torch.tensor([4]))
    cache.layers[1].write(zeros, zeros, places)

    untouched = sum(
        int((view == 7).sum())
        for store in cache.layers.values()
        for view in (store.views.key_BSHD, store.views.value_BSHD)
    )
    assert untouched == 4 * 5 * 3 * 2 * 4 - 2 * 2 * 4


def test_the_memory_has_the_order_of_the_layout():
    """Blocks of one head lie side by side: strides of blocks, slots, heads and elements."""
    key = make_cache("KHBSD").layers[1].views.key_BSHD

    assert key.stride() == (3 * 4, 4, 5 * 3 * 4, 1)


def test_values_are_stored_in_the_dtype_of_the_layout():
    layout = CacheLayout(block_size=3, dtype=BFLOAT16)
    cache = GroupCache(GROUP, layout, 2, 2, torch.device("cpu"))
    store = cache.layers[1]
    k, v = torch.randn(2, 1, 2, 4)

    store.write(k, v, cache.places(torch.tensor([5])))

    assert torch.equal(store.views.key_BSHD[1, 2], k[0].bfloat16())


@pytest.mark.parametrize("dtype", [FLOAT8_E4M3, FLOAT8_E5M2], ids=str)
def test_values_are_written_in_eight_bits_too(dtype):
    layout = CacheLayout(block_size=3, dtype=dtype)
    cache = GroupCache(GROUP, layout, 2, 2, torch.device("cpu"))
    store = cache.layers[1]
    k, v = torch.randn(2, 1, 2, 4)

    store.write(k, v, cache.places(torch.tensor([5])))

    written = store.views.value_BSHD[1, 2]
    assert torch.equal(written.float(), v[0].to(written.dtype).float())


def test_a_block_is_copied_in_all_layers():
    cache = make_cache()
    for number, (store, name) in enumerate(
        itertools.product(cache.layers.values(), ["key_BSHD", "value_BSHD"])
    ):
        getattr(store.views, name)[:] = torch.arange(5.0).view(5, 1, 1, 1) + 10 * number

    cache.copy_block(4, 1)

    for number, (store, name) in enumerate(
        itertools.product(cache.layers.values(), ["key_BSHD", "value_BSHD"])
    ):
        blocks = getattr(store.views, name)[:, 0, 0, 0] - 10 * number
        assert blocks.tolist() == [0, 4, 2, 3, 4]


def test_the_first_order_that_the_backend_reads_is_chosen():
    support = LayoutSupport(orders=("KBHSD", "KBSHD"))

    assert choose_layout({"acme": support}, 16, FLOAT32, "layers 0-1").order == "KBHSD"


def test_the_order_is_one_that_all_backends_of_a_group_read():
    readers = {
        "acme": LayoutSupport(orders=("KBHSD", "KBSHD", "BKSHD")),
        "other": LayoutSupport(orders=("BKSHD", "KBSHD")),
    }

    assert choose_layout(readers, 16, FLOAT32, "layers 0-1").order == "KBSHD"


def test_backends_of_a_group_without_a_common_layout_are_named():
    readers = {
        "acme": LayoutSupport(orders=("KBHSD",)),
        "other": LayoutSupport(orders=("KBSHD",)),
    }

    with pytest.raises(SelectionError, match=r"'acme', 'other' for layers 0-1 share a cache"):
        choose_layout(readers, 16, FLOAT32, "layers 0-1")


@pytest.mark.parametrize(
    "support",
    [
        LayoutSupport(block_sizes=(32, 64)),
        LayoutSupport(dtypes=("bfloat16",)),
        LayoutSupport(orders=("KBXSHD",)),
        LayoutSupport(orders=("KBSDH",)),
    ],
    ids=["block size", "dtype", "unknown axis", "head in pieces"],
)
def test_a_backend_that_reads_no_such_layout_is_named(support):
    with pytest.raises(SelectionError, match=r"'acme' for layers 0-1 .* cache\.block_size"):
        choose_layout({"acme": support}, 16, FLOAT32, "layers 0-1")


def make_float8_store():
    layout = CacheLayout(block_size=3, dtype=FLOAT8_E4M3)
    cache = GroupCache(GROUP, layout, 2, 2, torch.device("cpu"))
    return cache.layers[1], cache.places(torch.tensor([5]))


def test_what_float8_cannot_hold_becomes_its_largest_number():
    store, places = make_float8_store()
    k = torch.tensor([-1e4, 449.0, 1.0, 448.0]).expand(1, 2, 4)

    store.write(k, k, places)

    assert store.views.key_BSHD[1, 2, 0].float().tolist() == [-448.0, 448.0, 1.0, 448.0]


def test_a_float8_cache_is_divided_by_its_scales():
    store, places = make_float8_store()
    scaled = store.scaled(CacheScales(key=2.0, value=4.0))

    scaled.write(torch.full((1, 2, 4), 8.0), torch.full((1, 2, 4), 8.0), places)

    assert store.views.key_BSHD[1, 2].float().unique().item() == 4.0
    assert store.views.value_BSHD[1, 2].float().unique().item() == 2.0
