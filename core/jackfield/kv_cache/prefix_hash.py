"""Hashes of blocks. A hash stands for all tokens up to the block's end, and is equal in every process and machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Any

from jackfield.request import PrefixKey


@lru_cache(maxsize=1024)
def root_hash(key: PrefixKey) -> bytes:
    """The hash before the first block. It covers everything beside the tokens that must be equal."""
    parts: list[Any] = [key.salt, key.adapter, list(key.media)]
    if key.is_scaled:
        parts.append("scaled")
    return sha256(json.dumps(parts).encode()).digest()


@lru_cache(maxsize=16)
def _token_packer(block_size: int) -> Struct:
    return Struct(f"<{block_size}I")


class BlockHashes:
    """The chain of hashes of one request's full blocks. It grows with the tokens and survives a preemption.

    hash[i] = sha256(hash[i - 1] + tokens of block i as little-endian uint32), hash[-1] = `root_hash`.
    """

    __slots__ = ("_hashes", "_root")

    def __init__(self, key: PrefixKey) -> None:
        self._root = root_hash(key)
        self._hashes: list[bytes] = []

    def first(self, num_blocks: int, token_ids: Sequence[int], block_size: int) -> list[bytes]:
        """The hashes of at least the first `num_blocks` blocks of `token_ids`. Callers must not change the list.

        `block_size` is the same in all calls.
        """
        hashes = self._hashes
        known = len(hashes)
        if known < num_blocks:
            pack = _token_packer(block_size).pack
            parent = hashes[-1] if hashes else self._root
            for start in range(known * block_size, num_blocks * block_size, block_size):
                parent = sha256(parent + pack(*token_ids[start : start + block_size])).digest()
                hashes.append(parent)
        return hashes
