"""The cache of the reference device: one store of blocks for each group. Slots that were not written hold poison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from jackfield.cache import CacheGroup
from jackfield_testing.faults import BooksError

POISON = -1  # content of a slot that was not written since its block was assigned


class GroupCache:
    """The blocks of one cache group, each a list of slots. A block is made when it is first assigned."""

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        self.group = group
        self.num_blocks = num_blocks
        self.block_size = block_size  # slots of a block
        self._blocks: dict[int, list[int]] = {}
        self._holders: Counter[int] = Counter()  # number of rows that can still see each block

    def hold(self, block_ids: Iterable[int]) -> None:
        """Note that one more row can see these blocks."""
        for block_id in block_ids:
            if not 0 <= block_id < self.num_blocks:
                raise BooksError(
                    f"group {self.group.index} has no block {block_id}, only 0 to {self.num_blocks - 1}"
                )
            self._holders[block_id] += 1

    def release(self, block_ids: Iterable[int]) -> None:
        """Note that one row less can see these blocks. They keep their content, which may be a cached prefix."""
        for block_id in block_ids:
            self._holders[block_id] -= 1

    @property
    def num_held(self) -> int:
        """Blocks that some row can see."""
        return sum(1 for count in self._holders.values() if count > 0)

    def is_shared(self, block_id: int) -> bool:
        """True if more than one row sees the block."""
        return self._holders[block_id] > 1

    def poison(self, block_id: int, first_slot: int) -> None:
        """Mark every slot from `first_slot` on as unwritten."""
        block = self._block(block_id)
        block[first_slot:] = [POISON] * (self.block_size - first_slot)

    def poison_slot(self, table: Sequence[int], position: int) -> None:
        """Mark the slot of `position` as unwritten: it holds a wrong guess."""
        self._block(table[position // self.block_size])[position % self.block_size] = POISON

    def copy(self, source: int, target: int) -> None:
        """Copy a whole block."""
        if source not in self._blocks:
            raise BooksError(
                f"block {source} of group {self.group.index} is copied to {target}, but was never written"
            )
        self._block(target)[:] = self._blocks[source]

    def write(self, table: Sequence[int], position: int, value: int) -> None:
        """Write the slot of `position` through a block table."""
        self._block(table[position // self.block_size])[position % self.block_size] = value

    def read(self, table: Sequence[int], start: int, stop: int) -> list[int]:
        """The slots of positions `start` to `stop` - 1, through a block table. Raises BooksError on poison."""
        size = self.block_size
        first = start // size
        values: list[int] = []
        for block_id in table[first : -(-stop // size)]:
            values += self._block(block_id)
        values = values[start - first * size : stop - first * size]
        if POISON in values:
            position = start + values.index(POISON)
            raise BooksError(
                f"position {position} of group {self.group.index} is read before it was written, "
                f"in slot {position % size} of block {table[position // size]}"
            )
        return values

    def _block(self, block_id: int) -> list[int]:
        block = self._blocks.get(block_id)
        if block is None:
            block = self._blocks[block_id] = [POISON] * self.block_size
        return block
