"""Groups in which a token sees only tokens near it. Blocks that no later token reads are given back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager


class LocalBlocks(GroupManager):
    """`first_needed` gives the first block that a token sees. It never decreases from one token to the next."""

    @classmethod
    @abstractmethod
    def reach(cls, group: CacheGroup) -> int:
        """The most tokens that a token sees, itself included."""

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int:
        """The blocks of all rows, one more for each row that a step in flight still reads, and the chunks."""
        return max(least, max_rows * (least + 1) + chunk_blocks)

    @property
    def longest_chunk(self) -> int:
        seen = -(-(self.reach(self.group) - 1) // self.block_size)
        return max(1, (self.pool.num_blocks - seen - 1) * self.block_size)

    def longest_hit(self, chain: Sequence[bytes], num_blocks: int, num_tokens: int) -> int:
        find = self.pool.find
        while num_blocks:
            first = self.first_needed(min(num_blocks * self.block_size, num_tokens - 1))
            seen = range(num_blocks - 1, first - 1, -1)
            missing = next((index for index in seen if find(chain[index]) is None), None)
            if missing is None:
                break
            num_blocks = missing
        return num_blocks
