"""Groups that keep one state a request, whatever its length: those of recurrent mixers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager

_TOKENS_A_STATE = 512  # of the other groups, for which there should be a state
_A_FEW = 8  # states that a small cache has, too, so that rows run side by side


class StateSlots(GroupManager):
    """A block holds the state behind the last token that it stands for.

    A step that computes from `start` to `stop` - 1 reads the state in entry (start - 1) // block_size and writes that
    in entry (stop - 1) // block_size. So while all entries are one block the state is updated in place, and where two
    entries differ the state behind the first one is kept: others can go on from there. A state is kept where a step
    begins at a stop of the request, as long as there are free blocks; nobody makes room for a state to be kept.
    """

    keeps_states = True

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        """One, however long the request is."""
        return 1

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int:
        """What all rows can write and read, and as many to keep."""
        return least + 3 * max_rows

    @classmethod
    def share(cls, level: int, block_size: int) -> int:
        return max(min(level, _A_FEW), -(-level * block_size // _TOKENS_A_STATE))

    def first_needed(self, position: int) -> int:
        return max(0, position - 1) // self.block_size

    def longest_hit(self, chain: Sequence[bytes], num_blocks: int, num_tokens: int) -> int:
        find = self.pool.find
        most = min(num_blocks, (num_tokens - 1) // self.block_size)
        kept = (n for n in range(most, 0, -1) if find(chain[n - 1]) is not None)
        return next(kept, 0)

    def longest_fork(self, block_ids: Sequence[int], held: int, num_tokens: int) -> int:
        last = min(num_tokens // self.block_size, len(block_ids) - 1)
        kept = (n for n in range(last, held, -1) if block_ids[n - 1] != block_ids[n])
        return next(kept, 0) * self.block_size

    def num_taken(self, block_ids: Sequence[int], held: int, count: int, *, has_tail: bool) -> int:
        """One: beside a hit that others use, else the hit itself if it cannot be kept, or a fresh one."""
        return 1

    def num_lacking(self, block_ids: Sequence[int], count: int) -> int:
        return int(count > len(block_ids) and self.pool.is_shared(block_ids[-1]))

    def grow(self, block_ids: list[int], count: int, start: int, stops: Sequence[int]) -> list[int]:
        if count == len(block_ids):
            return []
        if self._moves_on(block_ids, start, stops):
            block = self.pool.take()
        else:
            block = block_ids[-1]
            self.pool.forget(block)  # what it holds is about to change
        new = [block] * (count - len(block_ids))
        block_ids += new
        return new

    def _moves_on(self, block_ids: Sequence[int], start: int, stops: Sequence[int]) -> bool:
        if not block_ids or self.pool.is_shared(block_ids[-1]):
            return True
        is_stop = start in stops or self.pool.is_known(block_ids[-1])
        is_complete = start == len(block_ids) * self.block_size
        return is_stop and is_complete and self.pool.num_free > 0

    def remember(
        self,
        block_ids: Sequence[int],
        chain: Sequence[bytes],
        first: int,
        count: int,
        stops: Sequence[int],
    ) -> None:
        for index in range(first, count):
            is_last = index == len(block_ids) - 1
            is_kept = is_last or block_ids[index] != block_ids[index + 1]
            if is_kept and (index + 1) * self.block_size in stops:
                self.pool.remember(block_ids[index], chain[index])

    def behind(self, block_ids: Sequence[int], first: int, stop: int) -> Sequence[int]:
        runs = [block for block, after in pairwise(block_ids[first : stop + 1]) if block != after]
        if stop == len(block_ids) and stop > first:
            runs.append(block_ids[-1])
        return runs[::-1]
