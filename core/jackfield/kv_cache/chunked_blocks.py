"""Groups that keep only the current chunk: keys and values of attention within chunks of positions."""

from __future__ import annotations

from math import gcd

from jackfield.cache import CacheGroup
from jackfield.kv_cache.local_blocks import LocalBlocks


class ChunkedBlocks(LocalBlocks):
    """A token reads its chunk up to itself. When a chunk ends, its blocks are given back.

    A prefix can be hit if its last chunk is cached, so a prefix that ends with a chunk needs nothing. Chunks need not
    begin at the start of a block.
    """

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        super().__init__(group, num_blocks, block_size)
        self._chunk_size = self.reach(group)

    @classmethod
    def reach(cls, group: CacheGroup) -> int:
        assert group.chunk_size is not None, "a group of kind chunked has a size"
        return group.chunk_size

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        size = cls.reach(group)
        # The latest start of a chunk in its first block.
        latest_start = block_size - gcd(size, block_size)
        return min(-(-num_tokens // block_size), -(-(latest_start + size) // block_size))

    def first_needed(self, position: int) -> int:
        return position // self._chunk_size * self._chunk_size // self.block_size
