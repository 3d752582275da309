"""The blocks of one cache group: the interface of every kind of group, and code that most kinds share."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.block_pool import BlockPool


class GroupManager(ABC):
    """Decides which blocks of a group a request holds, which prefixes it can reuse, and which blocks it no longer needs.

    A request has one list of block ids in each group, indexed by position // block_size. Entries before `held`, the
    first index that the request still holds, are arbitrary. Positions, lengths and chunks are in tokens.
    """

    keeps_states = False  # True: a prefix can be hit only at the end of a kept state
    drops_behind = True  # False: a request keeps all blocks that it was given
    whole_prompts = False  # True: a step computes all of a prompt or none of it

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        self.group = group
        self.block_size = block_size  # tokens
        self.pool = BlockPool(num_blocks)

    # How many blocks there should be

    @classmethod
    @abstractmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        """Least number of blocks that one request of `num_tokens` holds at once."""

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int | None:
        """Number of blocks beyond which more have no use; None: any number is useful.

        `least` is the need of the longest request, `chunk_blocks` that of the steps in flight and the next step.
        """
        return None

    @classmethod
    def share(cls, level: int, block_size: int) -> int:
        """Number of blocks that serve the same tokens as `level` blocks of a group that holds every token."""
        return level

    # What fits

    @property
    def longest_request(self) -> int:
        """Tokens of the longest request that fits if it runs alone."""
        if self.pool.num_blocks < self.least(self.group, sys.maxsize, self.block_size):
            return self.pool.num_blocks * self.block_size
        return sys.maxsize

    @property
    def longest_chunk(self) -> int | None:
        """Most tokens of one request in a step if it runs alone; None: any number."""
        return None

    # Prefixes

    @abstractmethod
    def first_needed(self, position: int) -> int:
        """Index of the first block that the token at `position`, or any later token, reads."""

    @abstractmethod
    def longest_hit(self, chain: Sequence[bytes], num_blocks: int, num_tokens: int) -> int:
        """The most blocks, up to `num_blocks`, after which a request of `num_tokens` could continue.

        `chain` are the hashes of the request's blocks. Its last token is always left to compute.
        """

    def longest_fork(self, block_ids: Sequence[int], held: int, num_tokens: int) -> int:
        """The most tokens, up to `num_tokens`, after which another request could continue with these blocks."""
        return num_tokens if self.first_needed(num_tokens) >= held else 0

    def find(self, chain: Sequence[bytes], first: int, stop: int) -> list[int]:
        """The blocks `first` to `stop` - 1 of a prefix that `longest_hit` found."""
        found = [self.pool.find(chain[index]) for index in range(first, stop)]
        return [block for block in found if block is not None]

    # Taking

    def first_count(self, num_tokens: int, num_planned: int) -> int:
        """Number of entries that a request of `num_tokens` gets at admission, when `num_planned` tokens are planned."""
        return -(-num_planned // self.block_size)

    def num_taken(self, block_ids: Sequence[int], held: int, count: int, *, has_tail: bool) -> int:
        """Free blocks that a request with this hit and `count` entries takes: new ones, cached ones, and a copied
        last block.

        `has_tail`: the hit ends inside its last block.
        """
        counts = self.pool.ref_counts
        cached = sum(1 for block in block_ids[held:] if counts[block] == 0)
        return count - len(block_ids) + cached + (has_tail and counts[block_ids[-1]] > 0)

    def num_lacking(self, block_ids: Sequence[int], count: int) -> int:
        """Free blocks needed to make the list `count` entries long."""
        return count - len(block_ids)

    def grow(self, block_ids: list[int], count: int, start: int, stops: Sequence[int]) -> list[int]:
        """Make the list `count` entries long and return the new entries. At least `num_lacking` blocks are free.

        The request computes from `start` on. `stops` are positions at which other requests may want to continue.
        """
        new = self.pool.take_many(count - len(block_ids))
        block_ids += new
        return new

    def remember(
        self,
        block_ids: Sequence[int],
        chain: Sequence[bytes],
        first: int,
        count: int,
        stops: Sequence[int],
    ) -> None:
        """Offer the blocks `first` to `count` - 1, which were computed, for prefix hits."""
        remember = self.pool.remember
        for index in range(first, count):
            remember(block_ids[index], chain[index])

    # Giving back

    def behind(self, block_ids: Sequence[int], first: int, stop: int) -> Sequence[int]:
        """Blocks that a request gives back if it holds its entries from `first` on and keeps those from `stop` on.

        The block to evict first comes first.
        """
        return block_ids[first:stop][::-1]
