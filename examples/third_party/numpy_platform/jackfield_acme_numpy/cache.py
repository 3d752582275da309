"""The paged cache of one group: keys and values of its layers, in blocks that requests share."""

from __future__ import annotations

import numpy as np
from jackfield.cache import CacheGroup

from jackfield_acme_numpy.arrays import Floats, Ints


class GroupCache:
    """Slot s of the cache is slot s % block_size of block s // block_size.

    The cache has one block more than the engine knows of. It is never written, so `empty_slot` holds zeros, while a
    freed block keeps its old values, which may not be finite.
    """

    def __init__(self, group: CacheGroup, num_blocks: int, block_size: int) -> None:
        self.group = group
        self.empty_slot = num_blocks * block_size
        self._places = {layer: place for place, layer in enumerate(group.layers)}
        shape = (2, len(group.layers), num_blocks + 1, block_size)
        heads = (group.num_kv_heads, group.head_size)
        self._blocks = np.zeros((*shape, *heads), group.dtype.name)
        self._slots = self._blocks.reshape(2, len(group.layers), -1, *heads)

    def copy_block(self, source: int, target: int) -> None:
        """Copy a whole block in all layers."""
        self._blocks[:, :, target] = self._blocks[:, :, source]

    def write(self, layer: int, slots_T: Ints, k_TKH: Floats, v_TKH: Floats) -> None:
        """Keep the keys and values of new tokens."""
        place = self._places[layer]
        self._slots[0, place, slots_T] = k_TKH
        self._slots[1, place, slots_T] = v_TKH

    def read(self, layer: int, slots_PL: Ints) -> tuple[Floats, Floats]:
        """Keys and values [P, L, K, H] at these slots."""
        k, v = (part[self._places[layer]].take(slots_PL, axis=0) for part in self._slots)
        return k.astype(np.float32, copy=False), v.astype(np.float32, copy=False)
