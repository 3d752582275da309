"""Groups that keep nothing: every token sees all other tokens of its prompt, which is computed in one step."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager


class NoBlocks(GroupManager):
    """No request holds a block, and no prefix can be hit: the output at a token depends on the tokens behind it."""

    whole_prompts = True

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        return 0

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int | None:
        return 0

    @property
    def longest_request(self) -> int:
        return sys.maxsize

    def first_needed(self, position: int) -> int:
        return 0

    def longest_hit(self, chain: Sequence[bytes], num_blocks: int, num_tokens: int) -> int:
        return 0

    def longest_fork(self, block_ids: Sequence[int], held: int, num_tokens: int) -> int:
        return 0

    def first_count(self, num_tokens: int, num_planned: int) -> int:
        return 0

    def num_lacking(self, block_ids: Sequence[int], count: int) -> int:
        return 0

    def grow(self, block_ids: list[int], count: int, start: int, stops: Sequence[int]) -> list[int]:
        return []

    def remember(
        self,
        block_ids: Sequence[int],
        chain: Sequence[bytes],
        first: int,
        count: int,
        stops: Sequence[int],
    ) -> None:
        """Do nothing: there are no blocks."""
