"""Cache groups by their windows; "state" stands for a recurrent group, "chunk 6" for one of chunks of 6 positions."""

from collections.abc import Callable

import pytest

from jackfield.cache import CHUNKED, FULL, RECURRENT, WINDOW, CacheGroup, key_and_value
from jackfield.dtypes import FLOAT32
from jackfield.kv_cache import BlockHashes, BlockManager, BlockTable, CacheBudget
from jackfield.request import PrefixKey
from jackfield.step import BlockCopy
from jackfield_testing.models import sight_of


def groups_of(windows: tuple[int | str | None, ...]) -> tuple[CacheGroup, ...]:
    return tuple(
        CacheGroup(
            index=index,
            kind=kind_of(window),
            layers=(index,),
            tensors=key_and_value(1, 1, FLOAT32),
            **({} if window == "state" else sight_of(window)),
        )
        for index, window in enumerate(windows)
    )


def kind_of(window: int | str | None) -> str:
    if isinstance(window, str):
        return RECURRENT if window == "state" else CHUNKED
    return FULL if window is None else WINDOW


class Books:
    """A block manager with blocks of 4 tokens, and what a scheduler would remember."""

    def __init__(self, windows=(None,), num_blocks=8, prefix_caching=True):
        counts = [num_blocks] * len(windows) if isinstance(num_blocks, int) else num_blocks
        self.manager = BlockManager(groups_of(windows), counts, 4, prefix_caching)
        self.copies: list[BlockCopy] = []

    def admit(self, token_ids, *, chunk=None, spare=0, salt="", hit=None) -> BlockTable | None:
        """A table with all hits, for a request that computes `chunk` (None: all) tokens first."""
        if hit is None:
            hit = self.find(token_ids, salt=salt)
        chunk = len(token_ids) - hit.num_tokens if chunk is None else chunk
        spares = [spare] * len(self.manager.groups)
        return self.manager.allocate(hit, len(token_ids), chunk, spares, self.copies)

    def find(self, token_ids, salt=""):
        return self.manager.find_prefix(BlockHashes(PrefixKey(salt=salt)), token_ids)

    def remember(self, table, token_ids, num_computed=None, salt=""):
        num_computed = len(token_ids) if num_computed is None else num_computed
        self.manager.remember(table, BlockHashes(PrefixKey(salt=salt)), token_ids, num_computed)

    def cache(self, token_ids, salt=""):
        """Compute `token_ids` once, in one step, and give the blocks back; the table that they had."""
        table = self.admit(token_ids, salt=salt)
        self.remember(table, token_ids, salt=salt)
        self.manager.give_back(table)
        return table

    @property
    def num_free(self) -> list[int]:
        return [pool.num_free for pool in self.manager.pools]


@pytest.fixture
def make_books() -> Callable[..., Books]:
    return Books


@pytest.fixture
def make_groups() -> Callable[..., tuple[CacheGroup, ...]]:
    return groups_of


@pytest.fixture
def make_budget() -> Callable[..., CacheBudget]:
    def make(*windows, **changes) -> CacheBudget:
        values = {"block_size": 4, "max_length": 64, "max_rows": 2, "max_step_tokens": 16}
        return CacheBudget(groups=groups_of(windows), **{**values, **changes})

    return make
