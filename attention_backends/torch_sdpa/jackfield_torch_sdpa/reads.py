"""How keys and values of a segment are read from the cache: in place if blocks are consecutive, otherwise gathered.

In memory the cache of a layer is [heads, blocks, slots, elements]. So consecutive blocks are consecutive slots for each
head, and gathering copies whole blocks of one head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Read(Protocol):
    """Reads keys or values of R rows."""

    def __call__(self, cache_HBSD: Tensor, dtype: torch.dtype) -> Tensor:
        """[R, heads, W, D] in `dtype`."""


@dataclass(frozen=True, slots=True)
class RunRead:
    """One row with consecutive blocks, read as a view."""

    start: int  # slots
    stop: int

    def __call__(self, cache_HBSD: Tensor, dtype: torch.dtype) -> Tensor:
        """See Read."""
        return cache_HBSD.flatten(1, 2)[:, self.start : self.stop].to(dtype).unsqueeze(0)


@dataclass(frozen=True, slots=True)
class BlockRead:
    """One row with arbitrary blocks. It copies them, and skips slots before its first one."""

    chunks: Tensor  # int64 [heads * blocks of the row]; each is head * blocks of the cache + block
    skip: int  # slots
    width: int

    def __call__(self, cache_HBSD: Tensor, dtype: torch.dtype) -> Tensor:
        """See Read."""
        num_heads, _, _, head_size = cache_HBSD.shape
        found = _bytes(cache_HBSD.flatten(0, 1)).index_select(0, self.chunks)
        slots = found.view(cache_HBSD.dtype).view(1, num_heads, -1, head_size)
        return slots[:, :, self.skip : self.skip + self.width].to(dtype)


class Buffers:
    """Memory for gathered keys and values, used by layer after layer, so that it stays in caches and the system does not
    zero it again and again. Keys and values take turns.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._held: list[Tensor] = [torch.empty(0), torch.empty(0)]

    def take(self, num_elements: int, like: Tensor) -> Tensor:
        """`num_elements` elements with the dtype and device of `like`. They are valid until two more were taken."""
        self._turn ^= 1
        held = self._held[self._turn]
        if held.numel() < num_elements or held.dtype != like.dtype:
            held = self._held[self._turn] = like.new_empty(num_elements + num_elements // 4)
        return held[:num_elements]


@dataclass(frozen=True, slots=True)
class RowsRead:
    """Many rows, padded to the same number of blocks.

    Slots that a row did not write read as zero: the cache may hold anything there, and even NaN times zero is NaN.
    """

    chunks: Tensor  # int64 [R * heads * blocks of a row]
    num_rows: int
    unwritten: Tensor  # int64, indices among all R * heads * W
    buffers: Buffers

    def __call__(self, cache_HBSD: Tensor, dtype: torch.dtype) -> Tensor:
        """See Read."""
        num_heads, _, block_size, head_size = cache_HBSD.shape
        source = _bytes(cache_HBSD.flatten(0, 1))
        buffer = self.buffers.take(len(self.chunks) * block_size * head_size, source)
        found = buffer.view(-1, block_size, head_size)
        torch.index_select(source, 0, self.chunks, out=found)
        found.view(-1, head_size).index_fill_(0, self.unwritten, 0.0)
        slots = found.view(cache_HBSD.dtype).view(self.num_rows, num_heads, -1, head_size)
        return slots.to(dtype)


def _bytes(x: Tensor) -> Tensor:
    """8-bit numbers as bytes, which torch can move on every device. Other numbers stay as they are."""
    return x.view(torch.uint8) if x.itemsize == 1 else x
