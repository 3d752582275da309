"""Groups that keep the last tokens alone: keys and values of attention with a window."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager


class WindowBlocks(GroupManager):
    """A token reads the blocks that its window touches; those behind the window are given back."""

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        super().__init__(group, num_blocks, block_size)
        self._window = _window(group)  # tokens, the token itself included

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        return min(-(-num_tokens // block_size), -(-(_window(group) - 1) // block_size) + 1)

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int:
        """What all rows hold, a block a row that a step in flight still reads, and the chunks."""
        return max(least, max_rows * (least + 1) + chunk_blocks)

    @property
    def longest_chunk(self) -> int:
        seen = -(-(self._window - 1) // self.block_size)
        return max(1, (self.pool.num_blocks - seen - 1) * self.block_size)

    def first_needed(self, position: int) -> int:
        return max(0, position - self._window + 1) // self.block_size

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


def _window(group: CacheGroup) -> int:
    assert group.window is not None, "a group of kind window has one"
    return group.window
