"""Groups that keep one state for each request, whatever its length: those of recurrent mixers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jackfield.cache import CacheGroup
from jackfield.kv_cache.group_manager import GroupManager

_TOKENS_A_STATE = 512  # one state for so many tokens of the other groups
_A_FEW = 8  # least number of states, so that rows run side by side in a small cache too


class StateSlots(GroupManager):
    """Each block holds one state: that after the last token of its entry.

    A step that computes from `start` to `stop` - 1 reads the state of entry (start - 1) // block_size and writes the
    state of entry (stop - 1) // block_size. If both entries are the same block, the state is updated in place. If
    they differ, the first state is kept, and other requests can continue from it. A state is kept if a step begins at
    a stop of the request and there are free blocks; no request is preempted to keep a state.
    """

    keeps_states = True

    @classmethod
    def least(cls, group: CacheGroup, num_tokens: int, block_size: int) -> int:
        """One block, however long the request is."""
        return 1

    @classmethod
    def most(cls, least: int, max_rows: int, chunk_blocks: int) -> int:
        """The states that all rows can read and write, and as many states to keep."""
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
        """One: a new state if the hit is used by others, else the hit itself if it cannot be kept, or a fresh block."""
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
            self.pool.forget(block)  # its content is about to change
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
