# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.attention_backends.v1, jackfield_torch.quantization.v1
from collections.abc import Sequence
from dataclasses import dataclass
from jackfield.dtypes import DType
FULL = 'full'
LATENT = 'latent'
WINDOW = 'window'
CHUNKED = 'chunked'
RECURRENT = 'recurrent'
NONE = 'none'
KINDS = ...
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTensor:
    name: str
    shape: tuple[int, ...]
    dtype: DType

    def num_bytes(self, num_shards: int=1) -> int:
        ...

    def shape_of_shard(self, num_shards: int) -> tuple[int, ...]:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    kind: str
    tensors: tuple[CacheTensor, ...]
    window: int | None = None
    chunk_size: int | None = None
def key_and_value(num_kv_heads: int, head_size: int, dtype: DType) -> tuple[CacheTensor, ...]:
    ...
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    index: int
    kind: str
    layers: tuple[int, ...]
    tensors: tuple[CacheTensor, ...]
    window: int | None = None
    chunk_size: int | None = None

    @property
    def num_kv_heads(self) -> int:
        ...

    @property
    def head_size(self) -> int:
        ...

    @property
    def dtype(self) -> DType:
        ...

    def block_bytes(self, block_size: int, num_shards: int=1) -> int:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayout:
    order: str = 'KBSHD'
    block_size: int = 16
    dtype: DType
@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSupport:
    orders: tuple[str, ...] = ('KBSHD',)
    block_sizes: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()

    def accepts(self, layout: CacheLayout) -> bool:
        ...
def group_of_layer(groups: Sequence[CacheGroup], layer: int, *, recurrent: bool=False) -> CacheGroup:
    ...
