# Part of: jackfield_torch.adapters.v1, jackfield_torch.attention_backends.v1, jackfield_torch.quantization.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
import torch
from torch import Tensor
@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLimits:
    device: torch.device
    dtype: torch.dtype
    num_heads: int
    num_kv_heads: int
    head_size: int
    max_rows: int
    max_step_tokens: int
    max_length: int
    num_blocks: int
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAttention:
    scale: float
    window: int | None = None
    chunk_size: int | None = None
    soft_cap: float | None = None
    sinks_N: Tensor | None = None
    causal: bool = True
    latent: int | None = None
    distance_bias_ND: Tensor | None = None

    def first_seen(self, position: int) -> int:
        ...

    def are_behind(self, query_Q1: Tensor, key_W: Tensor) -> Tensor | None:
        ...
@dataclass(slots=True, kw_only=True)
class AttentionBatch:
    query_lengths: Sequence[int]
    lengths: Sequence[int]
    query_starts_R1: Tensor
    lengths_R: Tensor
    block_ids_RB: Tensor
    slots_T: Tensor
@dataclass(frozen=True, slots=True)
class LayerCache:
    key_BSHD: Tensor
    value_BSHD: Tensor
class GroupAttention(ABC):

    @abstractmethod
    def prepare(self, batch: AttentionBatch) -> None:
        ...

    @abstractmethod
    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        ...

    def attend_together(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention) -> Tensor:
        ...

    def close(self) -> None:
        ...
