"""Cache groups and layouts as data: which layers share a block table, and how a block lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from jackfield.dtypes import DType

FULL = "full"  # keys and values of every token
LATENT = "latent"  # one vector for every token, from which its keys and values follow
WINDOW = "window"  # keys and values of the last `window` tokens
CHUNKED = "chunked"  # keys and values of the chunk of positions that holds the next token
RECURRENT = "recurrent"  # one state for each request, whatever its length
NONE = "none"  # nothing: each token sees later tokens too, so a prompt is computed in one step
KINDS = (FULL, LATENT, WINDOW, CHUNKED, RECURRENT, NONE)
"""The kinds in the order of their groups. For each kind a class in `jackfield.kv_cache` manages the blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTensor:
    """What a layer keeps for each token, or in a recurrent group for each request.

    A group of kind NONE keeps nothing: its tensors are those that it computes.
    """

    name: str  # "key", "value", "latent", or what a mixer calls a state
    # Shape in the whole model. Ranks share out the first axis, and each has at least one entry of it.
    shape: tuple[int, ...]
    dtype: DType

    def num_bytes(self, num_shards: int = 1) -> int:
        """Bytes on one of the shards."""
        return prod(self.shape_of_shard(num_shards)) * self.dtype.itemsize

    def shape_of_shard(self, num_shards: int) -> tuple[int, ...]:
        """Shape on one of the shards."""
        return (max(1, self.shape[0] // num_shards), *self.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What one layer keeps. Layers with equal uses form a group."""

    kind: str  # one of KINDS
    tensors: tuple[CacheTensor, ...]
    window: int | None = None  # tokens that a query sees, itself included
    chunk_size: int | None = None  # tokens of a chunk; a query sees its own chunk


def key_and_value(num_kv_heads: int, head_size: int, dtype: DType) -> tuple[CacheTensor, ...]:
    """The tensors that attention keeps for a token."""
    shape = (num_kv_heads, head_size)
    return tuple(CacheTensor(name=name, shape=shape, dtype=dtype) for name in ("key", "value"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """Layers that hold the same tokens, and so share one block table and one pool of blocks."""

    index: int  # index in plans and tables
    kind: str  # one of KINDS
    layers: tuple[int, ...]  # indices of layers that own a cache, ascending
    tensors: tuple[CacheTensor, ...]  # tensors of each layer
    window: int | None = None  # tokens that a query sees, itself included
    chunk_size: int | None = None  # tokens of a chunk; a query sees its own chunk

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys in the whole model, not on one rank. A latent vector counts as one."""
        return self.tensors[0].shape[0]

    @property
    def head_size(self) -> int:
        """Elements of a key, or of a latent vector."""
        return self.tensors[0].shape[-1]

    @property
    def dtype(self) -> DType:
        """The dtype of its first tensor."""
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
    D elements of a head.
    """

    order: str = "KBSHD"  # axes from the outermost
    block_size: int = 16  # tokens
    dtype: DType  # dtype of the elements


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
    """The group whose block table `layer` uses. A layer may use a recurrent group beside another group."""
    of_layer = (group for group in groups if layer in group.layers)
    return next(group for group in of_layer if (group.kind == RECURRENT) == recurrent)
