"""Groups that keep only the last tokens: keys and values of attention with a window."""

from __future__ import annotations

from jackfield.cache import CacheGroup
from jackfield.kv_cache.local_blocks import LocalBlocks


class WindowBlocks(LocalBlocks):
    """A token reads the blocks that its window touches. Blocks behind the window are given back."""

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        super().__init__(group, num_blocks, block_size)
        self._window = self.reach(group)

    @classmethod
    def reach(cls, group: CacheGroup) -> int:
        assert group.window is not None, "a group of kind window has one"
        return group.window

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        return min(-(-num_tokens // block_size), -(-(cls.reach(group) - 1) // block_size) + 1)

    def first_needed(self, position: int) -> int:
        return max(0, position - self._window + 1) // self.block_size
