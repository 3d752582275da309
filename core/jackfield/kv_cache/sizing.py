"""How many blocks each cache group gets, and how many a request needs."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.cache import CacheGroup
from jackfield.errors import OutOfMemoryError
from jackfield.kv_cache.managers import MANAGERS


def blocks_for(group: CacheGroup, num_tokens: int, block_size: int) -> int:
    """Least number of blocks of a group that one request of `num_tokens` holds at once."""
    return MANAGERS[group.kind].least(group, num_tokens, block_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBudget:
    """The facts that decide how the memory of the cache is split into blocks of each group.

    All groups serve the same tokens, so each gets as many blocks as match a number of blocks of a group that holds all
    tokens. A group never gets less than one request needs, nor more than all rows can use with `depth` steps in flight.
    """

    groups: Sequence[CacheGroup]
    block_size: int  # tokens
    max_length: int  # most tokens of one request, prompt and output together
    max_rows: int
    max_step_tokens: int
    depth: int = 2  # steps in flight

    def split(self, cache_bytes: int, block_bytes: Sequence[int]) -> tuple[int, ...]:
        """Blocks of each group that fit in `cache_bytes`, as many as possible.

        Raises OutOfMemoryError if one request of `max_length` does not fit. The error says what would fit.
        """

        def num_bytes(level: int) -> int:
            return _num_bytes(self._blocks_at(level), block_bytes)

        if num_bytes(0) > cache_bytes:
            raise self._too_small(cache_bytes, block_bytes)
        return self._blocks_at(bisect_right(range(1, sys.maxsize), cache_bytes, key=num_bytes))

    def in_proportion(self, num_blocks: int) -> tuple[int, ...]:
        """Blocks of each group if the first one gets exactly `num_blocks`.

        Raises OutOfMemoryError if one request of `max_length` does not fit.
        """
        least = self._least()
        if num_blocks < least[0]:
            fits = num_blocks * self.block_size
            raise OutOfMemoryError(
                f"cache.num_blocks={num_blocks} blocks of {self.block_size} tokens cannot hold one request of "
                f"{self.max_length} tokens: that takes {least[0]} blocks; {fits} tokens would fit. "
                f"Raise cache.num_blocks to at least {least[0]}, or set model.max_length to at most {fits}"
            )
        return (num_blocks, *self._blocks_at(num_blocks)[1:])

    @property
    def useful(self) -> tuple[int, ...]:
        """Blocks of each group that all rows need at their full length."""
        return self._blocks_at(self.max_rows * -(-self.max_length // self.block_size))

    def longest(self, cache_bytes: int, block_bytes: Sequence[int]) -> int:
        """Tokens of the longest single request, up to `max_length`, that `cache_bytes` can hold."""

        def num_bytes(blocks: int) -> int:
            tokens = blocks * self.block_size
            counts = [blocks_for(group, tokens, self.block_size) for group in self.groups]
            return _num_bytes(counts, block_bytes)

        most = -(-self.max_length // self.block_size)
        blocks = bisect_right(range(1, most + 1), cache_bytes, key=num_bytes)
        return min(blocks * self.block_size, self.max_length)

    def _least(self) -> list[int]:
        return [blocks_for(group, self.max_length, self.block_size) for group in self.groups]

    def _blocks_at(self, level: int) -> tuple[int, ...]:
        """Blocks of each group that match `level` blocks of a group that holds every token."""
        chunks = (self.depth + 1) * -(-self.max_step_tokens // self.block_size)
        counts = []
        for group, least in zip(self.groups, self._least(), strict=True):
            manager = MANAGERS[group.kind]
            count = max(least, manager.share(level, self.block_size))
            most = manager.most(least, self.max_rows, chunks)
            counts.append(count if most is None else min(count, most))
        return tuple(counts)

    def _too_small(self, cache_bytes: int, block_bytes: Sequence[int]) -> OutOfMemoryError:
        needed = _num_bytes(self._least(), block_bytes)
        fits = self.longest(cache_bytes, block_bytes)
        shorter = f"set model.max_length to at most {fits}, " if fits else ""
        return OutOfMemoryError(
            f"the cache cannot hold one request of model.max_length={self.max_length} tokens: that takes "
            f"{_in_mib(needed)}, the cache has {_in_mib(cache_bytes)}; {fits} tokens would fit. To go on, "
            f"{shorter}raise cache.memory_bytes, or use a narrower cache.dtype"
        )


def _num_bytes(num_blocks: Sequence[int], block_bytes: Sequence[int]) -> int:
    return sum(count * size for count, size in zip(num_blocks, block_bytes, strict=True))


def _in_mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
