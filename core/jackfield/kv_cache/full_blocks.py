"""Groups that keep something of every token: keys and values of full attention, or a latent vector."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager


class FullBlocks(GroupManager):
    """Every token reads all blocks before it, so a request holds all of its blocks from the start."""

    drops_behind = False

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        return -(-num_tokens // block_size)

    def first_needed(self, position: int) -> int:
        return 0

    def longest_hit(self, chain: Sequence[bytes], num_blocks: int, num_tokens: int) -> int:
        find = self.pool.find
        missing = (index for index in range(num_blocks) if find(chain[index]) is None)
        return next(missing, num_blocks)

    def first_count(self, num_tokens: int, num_planned: int) -> int:
        return -(-num_tokens // self.block_size)
