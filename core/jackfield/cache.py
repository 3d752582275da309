"""Cache groups and layouts as data: who shares a block table, and how a block lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.dtypes import DType

FULL = "full"  # every token is kept
WINDOW = "window"  # the last `window` tokens are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """Layers that hold the same tokens, and so share one block table and one pool of blocks."""

    index: int  # place in plans and tables
    kind: str  # FULL, WINDOW; open for recurrent, latent and cross
    layers: tuple[int, ...]  # that own a cache, ascending
    num_kv_heads: int  # of the whole model, not of one rank
    head_size: int  # elements
    dtype: DType  # of keys and values
    window: int | None = None  # tokens that a query sees, itself included

    def block_bytes(self, block_size: int, num_shards: int = 1) -> int:
        """Bytes of one block of `block_size` tokens: keys and values of all layers, on one of the shards."""
        heads = max(1, self.num_kv_heads // num_shards)
        return 2 * len(self.layers) * block_size * heads * self.head_size * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayout:
    """How the blocks of one layer lie in memory.

    `order` names the axes from the outermost: K (2: keys, values), B blocks, S slots of a block, H kv heads,
    D elements of a head. An `opaque` layout is known only to the backend of that name.
    """

    order: str = "KBSHD"  # axes from the outermost
    block_size: int = 16  # tokens
    dtype: DType  # of the elements
    opaque: str | None = None  # name of the only backend that reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSupport:
    """Layouts that an attention backend reads. Empty tuples mean: any."""

    orders: tuple[str, ...] = ("KBSHD",)  # the preferred one first
    block_sizes: tuple[int, ...] = ()  # tokens
    dtypes: tuple[str, ...] = ()  # names of dtypes

    def accepts(self, layout: CacheLayout) -> bool:
        """True if the backend reads this layout."""
        return (
            layout.order in self.orders
            and (not self.block_sizes or layout.block_size in self.block_sizes)
            and (not self.dtypes or layout.dtype.name in self.dtypes)
        )


def group_of_layer(groups: Sequence[CacheGroup], layer: int) -> CacheGroup:
    """The group whose block table `layer` uses."""
    return next(group for group in groups if layer in group.layers)
