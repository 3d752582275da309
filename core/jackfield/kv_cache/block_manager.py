"""Block tables over the pools of all cache groups: prefix hits, growth, copy-on-write, and giving blocks back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from jackfield.cache import CacheGroup
from jackfield.kv_cache.block_pool import BlockPool
from jackfield.kv_cache.block_table import BlockTable, PrefixHit
from jackfield.kv_cache.managers import MANAGERS
from jackfield.kv_cache.prefix_hash import BlockHashes
from jackfield.step import BlockCopy


class BlockManager:
    """Tracks which request holds which block. Block ids of a group run from 0 to num_blocks - 1; each group has a manager.

    A block that is given back may still be named by steps in flight. It returns to its pool when the newest step at
    that moment is resolved; results arrive in order, so every earlier step is resolved by then.
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
        self._managers = tuple(
            MANAGERS[group.kind](group, count, block_size)
            for group, count in zip(self.groups, num_blocks, strict=True)
        )
        self._dropping = [
            (index, manager) for index, manager in enumerate(self._managers) if manager.drops_behind
        ]
        self.prefix_caching = prefix_caching and not self.whole_prompts
        self.pools = tuple(manager.pool for manager in self._managers)
        self._newest_step = -1
        self._resolved_step = -1
        # For each step in flight: the blocks that return to each pool when it is resolved, in the order of release.
        self._returning: dict[int, list[tuple[BlockPool, Sequence[int]]]] = {}

    # What fits

    @property
    def longest_request(self) -> int:
        """Most computed tokens of a request that runs alone."""
        return min(manager.longest_request for manager in self._managers)

    @property
    def longest_chunk(self) -> int | None:
        """Most tokens of one request in a step if it runs alone; None: any number."""
        chunks = [manager.longest_chunk for manager in self._managers]
        return min((chunk for chunk in chunks if chunk is not None), default=None)

    @property
    def whole_prompts(self) -> bool:
        """True if a step computes all of a prompt or none of it."""
        return any(manager.whole_prompts for manager in self._managers)

    @property
    def num_free(self) -> int:
        """Free blocks of all groups together."""
        return sum(pool.num_free for pool in self.pools)

    @property
    def usage(self) -> float:
        """Used blocks of the fullest group, as a fraction."""
        return max(pool.num_used / max(1, pool.num_blocks) for pool in self.pools)

    def maps(self, most: int) -> list[str]:
        """Of each group what its blocks hold, as `BlockPool.letters` writes it."""
        return [pool.letters(most) for pool in self.pools]

    @property
    def has_returning(self) -> bool:
        """True if there are blocks that were given back but are held by steps in flight."""
        return bool(self._returning)

    # Prefix hits

    def find_prefix(self, hashes: BlockHashes, token_ids: Sequence[int]) -> PrefixHit:
        """The longest prefix of `token_ids` that all groups can serve. The last token is always left to compute."""
        size, num_tokens = self.block_size, len(token_ids)
        if not self.prefix_caching:
            return self.no_prefix()
        most = num_tokens // size
        chain = hashes.first(most, token_ids, size)
        num_cached = _settle(
            most,
            [
                partial(manager.longest_hit, chain, num_tokens=num_tokens)
                for manager in self._managers
            ],
        )
        num_hit = min(num_cached * size, num_tokens - 1)
        num_blocks = -(-num_hit // size)
        first_held = [manager.first_needed(num_hit) for manager in self._managers]
        block_ids = [
            [0] * first + manager.find(chain, first, num_blocks)
            for manager, first in zip(self._managers, first_held, strict=True)
        ]
        return PrefixHit(num_hit, block_ids, first_held, self._stops(chain, num_hit, num_tokens))

    @property
    def can_fork(self) -> bool:
        """True if `fork_prefix` works at every position. It does not if a group keeps states of some positions only."""
        return not any(manager.keeps_states for manager in self._managers)

    def fork_prefix(self, table: BlockTable, num_tokens: int) -> PrefixHit | None:
        """A hit on at most the first `num_tokens` of a running request. The hit may end inside a block.

        Returns None if the running request has moved on too far in some group.
        """
        num_tokens = _settle(
            num_tokens,
            [
                partial(manager.longest_fork, ids, held)
                for manager, ids, held in zip(
                    self._managers, table.block_ids, table.first_held, strict=True
                )
            ],
        )
        if num_tokens == 0:
            return None
        num_blocks = -(-num_tokens // self.block_size)
        first_held = [manager.first_needed(num_tokens) for manager in self._managers]
        return PrefixHit(num_tokens, [ids[:num_blocks] for ids in table.block_ids], first_held)

    def no_prefix(self) -> PrefixHit:
        """The hit of a request that must compute all its tokens."""
        return PrefixHit(0, [[] for _ in self.groups], [0] * len(self.groups))

    def _stops(self, chain: Sequence[bytes], num_hit: int, num_tokens: int) -> Sequence[int]:
        """Positions at which to keep states: as far as the other groups know these tokens, and after the last block."""
        if not any(manager.keeps_states for manager in self._managers):
            return ()
        last = (num_tokens - 1) // self.block_size
        seen = min(
            (
                manager.longest_hit(chain, last, num_tokens)
                for manager in self._managers
                if not manager.keeps_states
            ),
            default=0,
        )
        stops = sorted({seen * self.block_size, last * self.block_size})
        return [stop for stop in stops if stop > num_hit]

    # Taking

    def allocate(
        self,
        hit: PrefixHit,
        num_tokens: int,
        chunk: int,
        spare: Sequence[int],
        copies: list[BlockCopy],
    ) -> BlockTable | None:
        """A table for a request of `num_tokens` that computes `chunk` of them first. None if it does not fit.

        Full groups get blocks for all tokens, other groups for the first chunk. Afterwards `spare` blocks of each
        group must be free. The blocks of the hit are shared. If the hit ends inside a block, the request gets that
        block for itself: if others use the block, a copy is appended to `copies`, which the next step must make.
        """
        planned, has_tail = hit.num_tokens + chunk, hit.num_tokens % self.block_size != 0
        counts = [manager.first_count(num_tokens, planned) for manager in self._managers]
        for index, manager in enumerate(self._managers):
            taken = manager.num_taken(
                hit.block_ids[index], hit.first_held[index], counts[index], has_tail=has_tail
            )
            if taken > manager.pool.num_free - spare[index]:
                return None
        block_ids = tuple(list(ids) for ids in hit.block_ids)
        table = BlockTable(block_ids, list(hit.first_held), hit.stops)
        table.num_remembered = hit.num_tokens // self.block_size
        for index, manager in enumerate(self._managers):
            ids = block_ids[index]
            for block in ids[table.first_held[index] :]:
                manager.pool.share(block)
            if has_tail:
                ids[-1] = self._own_tail(index, ids[-1], copies)
            manager.grow(ids, counts[index], hit.num_tokens, hit.stops)
        return table

    def extend(
        self, table: BlockTable, start: int, stop: int
    ) -> Sequence[tuple[int, list[int]]] | None:
        """Make `table` hold the positions from `start` to `stop` - 1, which the next step computes.

        Returns (group, new blocks) for each group that grew, or None if blocks are lacking; then nothing is taken.
        Blocks that no query from `start` on sees are given back first.
        """
        if self._dropping:
            self._drop_behind(table, start)
        count = -(-stop // self.block_size)
        short = [
            (index, self._managers[index], ids)
            for index, ids in enumerate(table.block_ids)
            if len(ids) < count
        ]
        for _, manager, ids in short:
            if manager.num_lacking(ids, count) > manager.pool.num_free:
                return None
        return [
            (index, manager.grow(ids, count, start, table.stops)) for index, manager, ids in short
        ]

    def _own_tail(self, index: int, block: int, copies: list[BlockCopy]) -> int:
        """The last block of a hit that ends inside it, or a copy of that block if another request uses it."""
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
        """Offer the full blocks of the first `num_computed` tokens for prefix hits.

        The step that computed them must be resolved. Window blocks that were dropped since are still held back by
        this step or a later one, so their ids in the table are still valid.
        """
        count = num_computed // self.block_size
        if not self.prefix_caching or count <= table.num_remembered:
            return
        chain = hashes.first(count, token_ids, self.block_size)
        for manager, ids in zip(self._managers, table.block_ids, strict=True):
            manager.remember(ids, chain, table.num_remembered, count, table.stops)
        table.num_remembered = count

    # Giving back

    def give_back(self, table: BlockTable) -> None:
        """Give back all blocks of a request; its last block will be evicted first."""
        for manager, ids, first in zip(
            self._managers, table.block_ids, table.first_held, strict=True
        ):
            self._give_back(manager.pool, manager.behind(ids, first, len(ids)))

    def step_planned(self, step_id: int) -> None:
        """Note that the step is in flight. Blocks that are given back from now on wait for it."""
        self._newest_step = step_id

    def step_resolved(self, step_id: int) -> None:
        """Note that the result of the step was applied. Blocks that waited for it return to the pools."""
        self._resolved_step = step_id
        for pool, blocks in self._returning.pop(step_id, ()):
            for block in blocks:
                pool.release(block)

    def _drop_behind(self, table: BlockTable, position: int) -> None:
        for index, manager in self._dropping:
            held, first = table.first_held[index], manager.first_needed(position)
            if first > held:
                blocks = manager.behind(table.block_ids[index], held, first)
                self._give_back(manager.pool, blocks)
                table.first_held[index] = first

    def _give_back(self, pool: BlockPool, blocks: Sequence[int]) -> None:
        if self._newest_step == self._resolved_step:
            for block in blocks:
                pool.release(block)
        elif blocks:
            self._returning.setdefault(self._newest_step, []).append((pool, blocks))


def _settle(most: int, shorten: Sequence[Callable[[int], int]]) -> int:
    """The largest number up to `most` that no function reduces."""
    # How many functions in a row kept the number, and the index of the next function.
    settled = index = 0
    while settled < len(shorten):
        fewer = shorten[index](most)
        settled = settled + 1 if fewer == most else 1
        most, index = fewer, (index + 1) % len(shorten)
    return most
