"""The block tables of one row: which blocks it can still see, and which slots of them it must not read."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.step import NewRow
from jackfield_testing.cache import GroupCache
from jackfield_testing.faults import BooksError
from jackfield_testing.history import first_visible


class RowTables:
    """One table for each cache group. The row holds the entries that its next query, or a later one, can see."""

    def __init__(self, new: NewRow, caches: Sequence[GroupCache]) -> None:
        if len(new.block_ids) != len(caches):
            raise BooksError(
                f"row {new.row} comes with {len(new.block_ids)} tables; there are {len(caches)} groups"
            )
        self.row = new.row
        self.num_computed = new.num_computed
        self.caches = caches
        self.block_ids = [list(block_ids) for block_ids in new.block_ids]
        self._first_held = [self._first_seen(cache) for cache in caches]
        for cache, table, first in zip(caches, self.block_ids, self._first_held, strict=True):
            cache.hold(table[first:])

    def spoil_unwritten(self) -> None:
        """Poison the slots that a new row must not read: every slot from `num_computed` on."""
        for group, cache in enumerate(self.caches):
            first = max(self._first_held[group], self.num_computed // cache.block_size)
            for index in range(first, len(self.block_ids[group])):
                self._spoil(group, index)

    def append(self, group: int, block_ids: Sequence[int]) -> None:
        """Append new blocks to a table."""
        first = len(self.block_ids[group])
        self.caches[group].hold(block_ids)
        self.block_ids[group] += block_ids
        for index in range(first, len(self.block_ids[group])):
            self._spoil(group, index)

    def replace(self, group: int, index: int, block_id: int) -> None:
        """Replace a shared block by another one, a copy that is right up to `num_computed`."""
        table = self.block_ids[group]
        if not self._first_held[group] <= index < len(table):
            raise BooksError(f"row {self.row} has no entry {index} in group {group} to replace")
        self.caches[group].release((table[index],))
        self.caches[group].hold((block_id,))
        table[index] = block_id
        self._spoil(group, index)

    def release(self) -> None:
        """Release all blocks when the row ends."""
        for cache, table, first in zip(self.caches, self.block_ids, self._first_held, strict=True):
            cache.release(table[first:])

    def advance(self, num_tokens: int) -> None:
        """Count these tokens as computed. Blocks that are now behind a window may go to another row with the next plan."""
        self.num_computed += num_tokens
        for group, cache in enumerate(self.caches):
            held, first = self._first_held[group], self._first_seen(cache)
            if first > held:
                cache.release(self.block_ids[group][held:first])
                self._first_held[group] = first

    def check_reach(self, stop: int) -> None:
        """Raise BooksError if a table ends before position `stop` - 1."""
        for cache, table in zip(self.caches, self.block_ids, strict=True):
            if len(table) * cache.block_size < stop:
                raise BooksError(
                    f"row {self.row} computes up to position {stop - 1}, but its table of group "
                    f"{cache.group.index} has {len(table)} blocks of {cache.block_size} slots"
                )

    def _first_seen(self, cache: GroupCache) -> int:
        return first_visible(cache.group, self.num_computed) // cache.block_size

    def _spoil(self, group: int, index: int) -> None:
        cache, block_id = self.caches[group], self.block_ids[group][index]
        first_slot = max(0, self.num_computed - index * cache.block_size)
        if not cache.is_shared(block_id):
            cache.poison(block_id, first_slot)
        elif first_slot == 0:
            raise BooksError(
                f"block {block_id} of group {group} comes to row {self.row} as a fresh one, but another row, "
                "or this one at another place, still uses it"
            )
