"""The blocks of one cache group: their reference counts, their contents, and the order of eviction."""

from __future__ import annotations


class BlockPool:
    """Blocks 0 to num_blocks - 1. All operations take constant time.

    A block is *used* (its reference count is above 0) or *free*. A free block that has a hash is *cached*: it keeps its
    content and can be shared again until it is taken for other content. Free blocks are taken in this order: blocks
    without content, then the cached block that was released first (LRU).
    """

    __slots__ = (
        "_block_of",
        "_hash_of",
        "_next",
        "_previous",
        "num_blocks",
        "num_free",
        "ref_counts",
    )

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.num_free = num_blocks
        self.ref_counts = [0] * num_blocks
        self._hash_of: list[bytes | None] = [None] * num_blocks
        self._block_of: dict[bytes, int] = {}
        # The free list: a ring of block ids through the sentinel `num_blocks`. next[sentinel] is taken first.
        self._next: list[int] = [*range(1, num_blocks + 1), 0]
        self._previous: list[int] = [num_blocks, *range(num_blocks)]

    @property
    def num_used(self) -> int:
        """Blocks with a reference."""
        return self.num_blocks - self.num_free

    def take(self) -> int:
        """Take a free block for one owner; its old content is forgotten. The caller has checked `num_free`."""
        return self.take_many(1)[0]

    def take_many(self, count: int) -> list[int]:
        """Take `count` free blocks, in the order of `take`."""
        assert count <= self.num_free, "take() from a pool without free blocks"
        sentinel, following, taken = self.num_blocks, self._next, []
        block = following[sentinel]
        for _ in range(count):
            taken.append(block)
            self.ref_counts[block] = 1
            if self._hash_of[block] is not None:
                self.forget(block)
            block = following[block]
        following[sentinel], self._previous[block] = block, sentinel
        self.num_free -= count
        return taken

    def share(self, block: int) -> None:
        """Add a reference to a used or cached block."""
        if self.ref_counts[block] == 0:
            self._unlink(block)
        self.ref_counts[block] += 1

    def release(self, block: int) -> None:
        """Give one reference back. Without references the block is free."""
        count = self.ref_counts[block] - 1
        assert count >= 0, f"block {block} was released more often than it was taken"
        self.ref_counts[block] = count
        if count == 0:
            self._link(block)

    def find(self, block_hash: bytes) -> int | None:
        """The block that holds the content of this hash, used or free."""
        return self._block_of.get(block_hash)

    def letters(self, most: int) -> str:
        """A letter for each block, or for every n-th if there are more than `most`: `.` free, `c` cached, `u` used by one
        owner, `s` shared.
        """
        step = max(1, -(-self.num_blocks // most))
        counts, hashes = self.ref_counts[::step], self._hash_of[::step]
        return "".join(
            ("u" if count == 1 else "s") if count else ("." if content is None else "c")
            for count, content in zip(counts, hashes, strict=True)
        )

    def is_shared(self, block: int) -> bool:
        """True if a write would change the block of another owner."""
        return self.ref_counts[block] > 1

    def is_known(self, block: int) -> bool:
        """True if the block can be found by its content."""
        return self._hash_of[block] is not None

    def remember(self, block: int, block_hash: bytes) -> None:
        """Set the content of a used block. If two blocks have the same content, the first one is found."""
        if self._block_of.setdefault(block_hash, block) == block:
            self._hash_of[block] = block_hash

    def forget(self, block: int) -> None:
        """Withdraw the content of a block, because it is about to change."""
        block_hash = self._hash_of[block]
        if block_hash is not None:
            del self._block_of[block_hash]
            self._hash_of[block] = None

    def _unlink(self, block: int) -> None:
        before, after = self._previous[block], self._next[block]
        self._next[before] = after
        self._previous[after] = before
        self.num_free -= 1

    def _link(self, block: int) -> None:
        """Put a free block behind all others if it has content to keep, else in front of all."""
        sentinel = self.num_blocks
        if self._hash_of[block] is None:
            before, after = sentinel, self._next[sentinel]
        else:
            before, after = self._previous[sentinel], sentinel
        self._next[before] = self._previous[after] = block
        self._previous[block], self._next[block] = before, after
        self.num_free += 1
