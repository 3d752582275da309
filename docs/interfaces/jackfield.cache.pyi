# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.attention_backends.v1, jackfield_torch.quantization.v1
from collections.abc import Sequence
from dataclasses import dataclass
from jackfield.dtypes import DType
FULL = 'full'
WINDOW = 'window'
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    index: int
    kind: str
    layers: tuple[int, ...]
    num_kv_heads: int
    head_size: int
    dtype: DType
    window: int | None = None

    def block_bytes(self, block_size: int, num_shards: int=1) -> int:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayout:
    order: str = 'KBSHD'
    block_size: int = 16
    dtype: DType
    opaque: str | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSupport:
    orders: tuple[str, ...] = ('KBSHD',)
    block_sizes: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()

    def accepts(self, layout: CacheLayout) -> bool:
        ...
def group_of_layer(groups: Sequence[CacheGroup], layer: int) -> CacheGroup:
    ...
