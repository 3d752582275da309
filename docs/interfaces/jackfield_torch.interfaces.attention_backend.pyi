# Part of: jackfield_torch.attention_backends.v1
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from jackfield.cache import CacheGroup
from jackfield.cache import CacheLayout
from jackfield.cache import LayoutSupport
from jackfield.interfaces.card import Card
from jackfield_torch.interfaces.attention import AttentionLimits
from jackfield_torch.interfaces.attention import GroupAttention
KIND = 'jackfield_torch.attention_backends'
@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionNeed:
    FEATURE: ClassVar[str] = 'attention'
    device: str
    dtype: str
    cache_dtype: str
    num_heads: int
    num_kv_heads: int
    head_size: int
    block_size: int
    window: bool = False
    chunked: bool = False
    soft_cap: bool = False
    relative_bias: bool = False
    sinks: bool = False
    non_causal: bool = False
    cacheless: bool = False
    latent: int | None = None
class AttentionBackend(Card):
    layouts: ClassVar[LayoutSupport] = LayoutSupport()
    capture: ClassVar[str] = 'none'
    needs_host_lengths: ClassVar[bool] = True
    needs_finite_slots: ClassVar[bool] = False

    @abstractmethod
    def create(self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits) -> GroupAttention:
        ...
