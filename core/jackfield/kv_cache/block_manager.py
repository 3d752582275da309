"""Block tables over the pools of all cache groups: prefix hits, growth, copy-on-write, and giving blocks back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.kv_cache.block_pool import BlockPool
from jackfield.kv_cache.prefix_hash import BlockHashes
from jackfield.kv_cache.sizing import blocks_for
from jackfield.step import BlockCopy


class BlockTable:
    """The blocks of one running request. Only the block manager changes it."""

    __slots__ = ("block_ids", "first_held", "num_remembered")

    def __init__(self, block_ids: tuple[list[int], ...], first_held: list[int]) -> None:
        self.block_ids = block_ids  # of each group, indexed by position // block_size
        self.first_held = (
            first_held  # of each group; entries before it are behind the window, any id
        )
        self.num_remembered = 0  # leading blocks whose hashes the pools know


class PrefixHit:
    """Leading tokens that are in the cache already. Nothing is claimed before `allocate`."""

    __slots__ = ("block_ids", "first_held", "num_tokens")

    def __init__(
        self, num_tokens: int, block_ids: Sequence[list[int]], first_held: list[int]
    ) -> None:
        self.num_tokens = num_tokens
        self.block_ids = block_ids  # of each group, as many as cover num_tokens
        self.first_held = first_held


class BlockManager:
    """Who owns which block. Block ids of a group run from 0 to num_blocks - 1.

    A block that is given back can be named by steps that are in flight. It returns to its pool when the newest step
    at that moment was resolved; results arrive in order, so every earlier step was resolved too.
    """

    def __init__(
        self,
        groups: Sequence[CacheGroup],
        num_blocks: Sequence[int],
        block_size: int,
        prefix_caching: bool,
    ) -> None:
        self.groups = tuple(groups)
        self.block_size = block_size  # tokens
        self.prefix_caching = prefix_caching
        self.pools = tuple(BlockPool(count) for count in num_blocks)
        self._windows = [
            (group.window, index) for index, group in enumerate(self.groups) if group.window
        ]
        self._newest_step = -1
        self._resolved_step = -1
        # Of each step in flight: what returns to which pool when it is resolved, in the order of release.
        self._returning: dict[int, list[tuple[BlockPool, Sequence[int]]]] = {}

    # What fits

    @property
    def longest_request(self) -> int:
        """Computed tokens with which one request fits when it runs alone."""
        return min(
            pool.num_blocks * self.block_size
            if pool.num_blocks < blocks_for(group, sys.maxsize, self.block_size)
            else sys.maxsize
            for group, pool in zip(self.groups, self.pools, strict=True)
        )

    @property
    def longest_chunk(self) -> int | None:
        """Tokens of one request in a step with which it fits when it runs alone; None: any number."""
        chunks = [
            (self.pools[index].num_blocks - -(-(window - 1) // self.block_size) - 1)
            * self.block_size
            for window, index in self._windows
        ]
        return max(1, min(chunks)) if chunks else None

    @property
    def num_free(self) -> int:
        """Free blocks of all groups together."""
        return sum(pool.num_free for pool in self.pools)

    @property
    def usage(self) -> float:
        """Used blocks of the fullest group, as a fraction."""
        return max(pool.num_used / pool.num_blocks for pool in self.pools)

    @property
    def has_returning(self) -> bool:
        """True if steps in flight hold back blocks that were given back."""
        return bool(self._returning)

    # Prefix hits

    def find_prefix(self, hashes: BlockHashes, token_ids: Sequence[int]) -> PrefixHit:
        """The longest prefix of `token_ids` that all groups can serve; the last token is always left to compute."""
        size, num_tokens = self.block_size, len(token_ids)
        if not self.prefix_caching:
            return self.no_prefix()
        chain = hashes.first(num_tokens // size, token_ids, size)
        num_hit = min(self._num_cached(chain, num_tokens) * size, num_tokens - 1)
        num_blocks = -(-num_hit // size)
        first_held = [self._first_seen(group, num_hit) for group in self.groups]
        block_ids = []
        for pool, first in zip(self.pools, first_held, strict=True):
            found = [pool.find(chain[index]) for index in range(first, num_blocks)]
            block_ids.append([0] * first + [block for block in found if block is not None])
        return PrefixHit(num_hit, block_ids, first_held)

    def fork_prefix(self, table: BlockTable, num_tokens: int) -> PrefixHit | None:
        """A hit on the first `num_tokens` of a running request, a partial tail included.

        None if a window of the running request has moved on too far.
        """
        first_held = [self._first_seen(group, num_tokens) for group in self.groups]
        if any(first < held for first, held in zip(first_held, table.first_held, strict=True)):
            return None
        num_blocks = -(-num_tokens // self.block_size)
        return PrefixHit(num_tokens, [ids[:num_blocks] for ids in table.block_ids], first_held)

    def no_prefix(self) -> PrefixHit:
        """The hit of a request that must compute everything."""
        return PrefixHit(0, [[] for _ in self.groups], [0] * len(self.groups))

    def _num_cached(self, chain: Sequence[bytes], num_tokens: int) -> int:
        """Blocks of the longest prefix of which each group has all that a query behind it sees."""
        num_blocks = num_tokens // self.block_size
        for group, pool in zip(self.groups, self.pools, strict=True):
            if group.window is None:
                missing = (i for i in range(num_blocks) if pool.find(chain[i]) is None)
                num_blocks = next(missing, num_blocks)
        settled = 0  # window groups in a row that agree
        while num_blocks and settled < len(self._windows):
            for _, index in self._windows:
                num_hit = min(num_blocks * self.block_size, num_tokens - 1)
                first = self._first_seen(self.groups[index], num_hit)
                find = self.pools[index].find
                seen = range(num_blocks - 1, first - 1, -1)
                missing = (i for i in seen if find(chain[i]) is None)
                shorter = next(missing, num_blocks)
                settled = settled + 1 if shorter == num_blocks else 0
                num_blocks = shorter
        return num_blocks

    def _first_seen(self, group: CacheGroup, position: int) -> int:
        """The first block that a query at `position`, or any later one, sees."""
        if group.window is None:
            return 0
        return max(0, position - group.window + 1) // self.block_size

    # Taking

    def allocate(
        self,
        hit: PrefixHit,
        num_tokens: int,
        chunk: int,
        spare: Sequence[int],
        copies: list[BlockCopy],
    ) -> BlockTable | None:
        """A table for a request of `num_tokens` that computes `chunk` of them first; None if it does not fit.

        Full groups get blocks for all tokens, window groups for the first chunk. Afterwards `spare` blocks of each
        group must be free. What was hit is shared, but a hit that ends inside a block makes that block the
        request's own: if others use it a copy is appended to `copies`, which belong to the next step.
        """
        size = self.block_size
        counts = [
            -(-(num_tokens if group.window is None else hit.num_tokens + chunk) // size)
            for group in self.groups
        ]
        has_tail = hit.num_tokens % size != 0
        for index, pool in enumerate(self.pools):
            if self._num_taken(pool, hit, index, counts[index], has_tail) > (
                pool.num_free - spare[index]
            ):
                return None
        table = BlockTable(tuple(list(ids) for ids in hit.block_ids), list(hit.first_held))
        table.num_remembered = hit.num_tokens // size
        for index, pool in enumerate(self.pools):
            ids = table.block_ids[index]
            for block in ids[table.first_held[index] :]:
                pool.share(block)
            if has_tail:
                ids[-1] = self._own_tail(index, ids[-1], copies)
            ids += [pool.take() for _ in range(counts[index] - len(ids))]
        return table

    def extend(
        self, table: BlockTable, start: int, stop: int
    ) -> Sequence[tuple[int, list[int]]] | None:
        """Make `table` hold the positions from `start` to `stop` - 1, which the next step computes.

        Returns (group, new blocks) for each group that grew, or None, with nothing taken, if blocks are lacking.
        Blocks that no query from `start` on sees are given back first.
        """
        if self._windows:
            self._drop_behind(table, start)
        count = -(-stop // self.block_size)
        pools, tables = self.pools, table.block_ids
        for pool, ids in zip(pools, tables, strict=True):
            if count - len(ids) > pool.num_free:
                return None
        grown = []
        for index, ids in enumerate(tables):
            if len(ids) < count:
                new = [pools[index].take() for _ in range(count - len(ids))]
                ids += new
                grown.append((index, new))
        return grown

    def _num_taken(
        self, pool: BlockPool, hit: PrefixHit, index: int, count: int, has_tail: bool
    ) -> int:
        """Free blocks that a request with `count` blocks takes: new ones, cached ones, and the copy of a tail."""
        shared = hit.block_ids[index]
        counts = pool.ref_counts
        cached = sum(1 for block in shared[hit.first_held[index] :] if counts[block] == 0)
        return count - len(shared) + cached + (has_tail and counts[shared[-1]] > 0)

    def _own_tail(self, index: int, block: int, copies: list[BlockCopy]) -> int:
        """The block that takes the place of a hit's partial last one: itself if nobody else uses it."""
        pool = self.pools[index]
        if not pool.is_shared(block):
            pool.forget(block)
            return block
        copy = pool.take()
        copies.append(BlockCopy(index, block, copy))
        self._returning.setdefault(self._newest_step + 1, []).append((pool, (block,)))
        return copy

    # What the blocks hold

    def remember(
        self, table: BlockTable, hashes: BlockHashes, token_ids: Sequence[int], num_computed: int
    ) -> None:
        """Make the full blocks of the first `num_computed` tokens known for prefix hits.

        The step that computed them was resolved. Window blocks that were dropped since are still held back by it
        or by a later step, so that their ids in the table are still true.
        """
        count = num_computed // self.block_size
        if not self.prefix_caching or count <= table.num_remembered:
            return
        chain = hashes.first(count, token_ids, self.block_size)
        for pool, ids in zip(self.pools, table.block_ids, strict=True):
            for index in range(table.num_remembered, count):
                pool.remember(ids[index], chain[index])
        table.num_remembered = count

    # Giving back

    def give_back(self, table: BlockTable) -> None:
        """Give back all blocks of a request; its tail will be evicted first."""
        for pool, ids, first in zip(self.pools, table.block_ids, table.first_held, strict=True):
            self._give_back(pool, ids[first:][::-1])

    def step_planned(self, step_id: int) -> None:
        """The step is in flight; what is given back from now on waits for it."""
        self._newest_step = step_id

    def step_resolved(self, step_id: int) -> None:
        """The result of the step was applied; what waited for it returns to the pools."""
        self._resolved_step = step_id
        for pool, blocks in self._returning.pop(step_id, ()):
            for block in blocks:
                pool.release(block)

    def _drop_behind(self, table: BlockTable, position: int) -> None:
        for window, index in self._windows:
            held = table.first_held[index]
            first = max(0, position - window + 1) // self.block_size
            if first > held:
                self._give_back(self.pools[index], table.block_ids[index][held:first][::-1])
                table.first_held[index] = first

    def _give_back(self, pool: BlockPool, blocks: Sequence[int]) -> None:
        if self._newest_step == self._resolved_step:
            for block in blocks:
                pool.release(block)
        elif blocks:
            self._returning.setdefault(self._newest_step, []).append((pool, blocks))
