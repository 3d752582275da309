# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import ClassVar
from jackfield.cache import CacheGroup
from jackfield.dtypes import DType
from jackfield.foreign import ForeignCode as ForeignCode
from jackfield.mixers import ALIBI_SIZE as ALIBI_SIZE
from jackfield.mixers import Attention as Attention
from jackfield.mixers import GatedDeltaNet as GatedDeltaNet
from jackfield.mixers import LatentAttention as LatentAttention
from jackfield.mixers import Mamba2 as Mamba2
from jackfield.mixers import Mixer as Mixer
from jackfield.mixers import ParallelMixers as ParallelMixers
from jackfield.mixers import Shapes as Shapes
from jackfield.pooling import Classifier
from jackfield.pooling import Pooling
from jackfield.spec_parts import Norm as Norm
from jackfield.spec_parts import RelativeBias as RelativeBias
from jackfield.spec_parts import Rope as Rope
from jackfield.spec_parts import RopeScaling as RopeScaling
from jackfield.spec_parts import Temperature as Temperature
from jackfield.stored_linear import StoredLinear as StoredLinear
@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    FEATURE: ClassVar[str] = 'feed_forward'
    size: int
    activation: str = 'silu'
    gated: bool = True
    bias: bool = False
    clip: float | None = None
    up_offset: float = 0.0
    gate_scale: float = 1.0
    out_scale: float = 1.0

    @property
    def linears(self) -> tuple[str, ...]:
        ...

    def shapes(self, hidden_size: int) -> Shapes:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def num_active_parameters(self, hidden_size: int) -> int:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    FEATURE: ClassVar[str] = 'router'
    num_experts: int
    top_k: int
    scoring: str = 'softmax'
    renormalise: bool = False
    choice_bias: bool = False
    bias: bool = False
    scale: float = 1.0
    scales_inputs: bool = False
    num_groups: int = 1
    top_groups: int = 1
    group_score: str = 'max'
    jitter: float = 0.0
@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    FEATURE: ClassVar[str] = 'experts'
    IS_FEATURE: ClassVar[bool] = True
    router: Router
    expert: FeedForward
    shared: FeedForward | None = None
    shared_gate: bool = False

    def shapes(self, hidden_size: int) -> Shapes:
        ...

    def width(self, hidden_size: int) -> int:
        ...

    def num_parameters(self, hidden_size: int) -> int:
        ...

    def num_active_parameters(self, hidden_size: int) -> int:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    FEATURE: ClassVar[str] = 'layer'
    mixer: Mixer
    feed_forward: FeedForward | Experts | None
    mixer_norm: Norm | None
    feed_forward_norm: Norm | None
    mixer_post_norm: Norm | None = None
    feed_forward_post_norm: Norm | None = None
    residual_scale: float = 1.0
    cache_of_layer: int | None = None
    parallel: bool = False
    norm_after_sum: bool = False
@dataclass(frozen=True, slots=True)
class Transpose:
    ...
@dataclass(frozen=True, slots=True)
class Split:
    start: int
    stop: int
@dataclass(frozen=True, slots=True)
class Offset:
    value: float
@dataclass(frozen=True, slots=True)
class Permute:
    num_heads: int
@dataclass(frozen=True, slots=True)
class SplitGroups:
    num_groups: int
    start: int
    stop: int
@dataclass(frozen=True, slots=True)
class Entry:
    index: int = 0
    count: int | None = None
Transform = Transpose | Split | SplitGroups | Entry | Offset | Permute
@dataclass(frozen=True, slots=True)
class ModuleSource:
    prefix: str
    transforms: tuple[Transform, ...] = ()
    is_weight: bool = False

    def name(self, parameter: str) -> str:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    FEATURE: ClassVar[str] = 'quantization'
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({'stored'})
    method: str
    linears: Mapping[str, Mapping[str, Any]] = field(hash=False)
    cache_dtype: DType | None = None
    stored: Mapping[str, StoredLinear] = field(default_factory=dict, hash=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    FEATURE: ClassVar[str] = 'model'
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({'pooling', 'other_heads'})
    architecture: str
    vocab_size: int
    hidden_size: int
    max_length: int
    layers: tuple[Layer, ...]
    final_norm: Norm | None
    modules: Mapping[str, ModuleSource] = field(hash=False)
    dtype: DType
    end_token_ids: tuple[int, ...]
    tied_head: bool = False
    learned_positions: int | None = None
    position_offset: int = 0
    embedding_scale: float = 1.0
    embedding_norm: Norm | None = None
    logit_scale: float = 1.0
    logit_soft_cap: float | None = None
    head_bias: bool = False
    has_head: bool = True
    segments: int | None = None
    classifier: Classifier | None = None
    other_heads: tuple[str, ...] = ()
    pooling: Pooling | None = None
    quantization: Quantization | None = None
    foreign: ForeignCode | None = None

    @property
    def unscaled_length(self) -> int | None:
        ...

    @property
    def linears(self) -> tuple[str, ...]:
        ...

    @property
    def shapes(self) -> Shapes:
        ...

    def source(self, module: str) -> ModuleSource:
        ...

    def cache_groups(self, dtype: DType) -> tuple[CacheGroup, ...]:
        ...
