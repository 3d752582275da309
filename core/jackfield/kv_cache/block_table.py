"""The blocks that one request holds in the cache, and the blocks of a prefix hit."""

from __future__ import annotations

from collections.abc import Sequence


class BlockTable:
    """The blocks of one running request. Only the block manager changes it."""

    __slots__ = ("block_ids", "first_held", "num_remembered", "stops")

    def __init__(
        self, block_ids: tuple[list[int], ...], first_held: list[int], stops: Sequence[int]
    ) -> None:
        self.block_ids = block_ids  # for each group, indexed by position // block_size
        self.first_held = first_held  # for each group; entries before this index are arbitrary
        self.stops = stops  # see PrefixHit
        self.num_remembered = 0  # leading blocks whose hashes the pools know


class PrefixHit:
    """Leading tokens that are already in the cache. No block is taken before `allocate`."""

    __slots__ = ("block_ids", "first_held", "num_tokens", "stops")

    def __init__(
        self,
        num_tokens: int,
        block_ids: Sequence[list[int]],
        first_held: list[int],
        stops: Sequence[int] = (),
    ) -> None:
        self.num_tokens = num_tokens
        self.block_ids = block_ids  # for each group, as many as cover num_tokens
        self.first_held = first_held
        self.stops = stops  # rising positions at which a step must end, so that a state can be kept


def cut_at_stop(stops: Sequence[int], start: int, num_tokens: int) -> int:
    """Number of tokens, at most `num_tokens` from `start` on, that one step can compute."""
    for stop in stops:
        if start < stop < start + num_tokens:
            return stop - start
    return num_tokens
