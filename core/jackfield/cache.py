"""Cache groups and layouts as data: who shares a block table, and how a block lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from jackfield.dtypes import DType

FULL = "full"  # keys and values of every token
LATENT = "latent"  # one vector of every token, from which its keys and values follow
WINDOW = "window"  # keys and values of the last `window` tokens
CHUNKED = "chunked"  # keys and values of the chunk of positions that the next token is in
RECURRENT = "recurrent"  # a state of each request, whatever its length
NONE = "none"  # nothing: each token sees later ones too, so a prompt is computed in one step
KINDS = (FULL, LATENT, WINDOW, CHUNKED, RECURRENT, NONE)
"""In the order of their groups. What each of them keeps is a class of `jackfield.kv_cache`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTensor:
    """What a layer keeps of each token, or in a recurrent group of each request; of NONE, what it computes."""

    name: str  # "key", "value", "latent", or what a mixer calls a state
    shape: tuple[
        int, ...
    ]  # of the whole model; ranks share the first axis out, and have at least one of it each
    dtype: DType

    def num_bytes(self, num_shards: int = 1) -> int:
        """On one of the shards."""
        return prod(self.shape_of_shard(num_shards)) * self.dtype.itemsize

    def shape_of_shard(self, num_shards: int) -> tuple[int, ...]:
        """On one of the shards."""
        return (max(1, self.shape[0] // num_shards), *self.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What one layer keeps. Layers that use alike form a group."""

    kind: str  # one of KINDS
    tensors: tuple[CacheTensor, ...]
    window: int | None = None  # tokens that a query sees, itself included
    chunk_size: int | None = None  # tokens; a query sees those of its own chunk


def key_and_value(num_kv_heads: int, head_size: int, dtype: DType) -> tuple[CacheTensor, ...]:
    """What attention keeps of a token."""
    shape = (num_kv_heads, head_size)
    return tuple(CacheTensor(name=name, shape=shape, dtype=dtype) for name in ("key", "value"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """Layers that hold the same tokens, and so share one block table and one pool of blocks."""

    index: int  # place in plans and tables
    kind: str  # one of KINDS
    layers: tuple[int, ...]  # that own a cache, ascending
    tensors: tuple[CacheTensor, ...]  # of each layer
    window: int | None = None  # tokens that a query sees, itself included
    chunk_size: int | None = None  # tokens; a query sees those of its own chunk

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys, of the whole model and not of one rank. A latent vector is one."""
        return self.tensors[0].shape[0]

    @property
    def head_size(self) -> int:
        """Elements of a key, or of a latent vector."""
        return self.tensors[0].shape[-1]

    @property
    def dtype(self) -> DType:
        """Of its first tensor."""
        return self.tensors[0].dtype

    def block_bytes(self, block_size: int, num_shards: int = 1) -> int:
        """Bytes of one block in all layers, on one of the shards: `block_size` tokens, or one state."""
        if self.kind == NONE:
            return 0
        slots = 1 if self.kind == RECURRENT else block_size
        layer_bytes = sum(tensor.num_bytes(num_shards) for tensor in self.tensors)
        return len(self.layers) * slots * layer_bytes


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


def group_of_layer(
    groups: Sequence[CacheGroup], layer: int, *, recurrent: bool = False
) -> CacheGroup:
    """The group whose block table `layer` uses; a layer can have a recurrent one beside another."""
    of_layer = (group for group in groups if layer in group.layers)
    return next(group for group in of_layer if (group.kind == RECURRENT) == recurrent)
