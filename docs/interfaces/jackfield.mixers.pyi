# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from dataclasses import dataclass
from typing import ClassVar
from jackfield.cache import CacheUse
from jackfield.dtypes import DType
from jackfield.spec_parts import Norm
from jackfield.spec_parts import RelativeBias
from jackfield.spec_parts import Rope
from jackfield.spec_parts import Temperature
Shapes = dict[str, tuple[int, int]]
ALIBI_SIZE = 8
@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    FEATURE: ClassVar[str] = 'attention'
    num_heads: int
    num_kv_heads: int
    head_size: int
    scale: float
    rope: Rope | None = None
    window: int | None = None
    chunk_size: int | None = None
    soft_cap: float | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    joint_norms: bool = False
    head_weights: bool = False
    norm_after_rope: bool = False
    qkv_clip: float | None = None
    alibi: bool = False
    relative_bias: RelativeBias | None = None
    sinks: bool = False
    out_gate: bool = False
    temperature: Temperature | None = None
    causal: bool = True

    @property
    def cached_head_size(self) -> int:
        ...

    @property
    def attention(self) -> Attention:
        ...

    def shapes(self, hidden_size: int, *, shares_cache: bool=False) -> Shapes:
        ...

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def refuse_ranks(self, num_ranks: int) -> str:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    FEATURE: ClassVar[str] = 'latent_attention'
    IS_FEATURE: ClassVar[bool] = True
    num_heads: int
    head_size: int
    value_size: int
    latent_size: int
    scale: float
    rope: Rope
    latent_norm: Norm
    query_latent_size: int | None = None
    query_norm: Norm | None = None
    bias: bool = False

    @property
    def attention(self) -> Attention:
        ...

    @property
    def most_absorbed(self) -> int:
        ...

    def shapes(self, hidden_size: int, *, shares_cache: bool=False) -> Shapes:
        ...

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def refuse_ranks(self, num_ranks: int) -> str:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    FEATURE: ClassVar[str] = 'mamba2'
    IS_FEATURE: ClassVar[bool] = True
    num_heads: int
    head_size: int
    state_size: int
    num_groups: int
    conv_size: int
    norm: Norm | None
    conv_bias: bool = True
    in_bias: bool = False
    out_bias: bool = False
    norm_before_gate: bool = False
    min_step: float = 0.0
    max_step: float | None = None
    scales: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)

    @property
    def rope(self) -> None:
        ...

    @property
    def attention(self) -> None:
        ...

    @property
    def size(self) -> int:
        ...

    @property
    def conv_channels(self) -> int:
        ...

    def shapes(self, hidden_size: int, *, shares_cache: bool=False) -> Shapes:
        ...

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def refuse_ranks(self, num_ranks: int) -> str:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    FEATURE: ClassVar[str] = 'gated_delta_net'
    IS_FEATURE: ClassVar[bool] = True
    num_heads: int
    num_key_heads: int
    key_size: int
    value_size: int
    conv_size: int
    norm: Norm

    @property
    def rope(self) -> None:
        ...

    @property
    def attention(self) -> None:
        ...

    @property
    def conv_channels(self) -> int:
        ...

    def shapes(self, hidden_size: int, *, shares_cache: bool=False) -> Shapes:
        ...

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def refuse_ranks(self, num_ranks: int) -> str:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelMixers:
    FEATURE: ClassVar[str] = 'parallel_mixers'
    IS_FEATURE: ClassVar[bool] = True
    attention: Attention
    recurrent: Mamba2
    attention_in_scale: float = 1.0
    attention_out_scale: float = 1.0
    recurrent_in_scale: float = 1.0
    recurrent_out_scale: float = 1.0

    @property
    def rope(self) -> Rope | None:
        ...

    def shapes(self, hidden_size: int, *, shares_cache: bool=False) -> Shapes:
        ...

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def refuse_ranks(self, num_ranks: int) -> str:
        ...
Mixer = Attention | LatentAttention | Mamba2 | GatedDeltaNet | ParallelMixers
def recurrent_use(channels: int, conv_size: int, state: tuple[int, ...]) -> CacheUse:
    ...
