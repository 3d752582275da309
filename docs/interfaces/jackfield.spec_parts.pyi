# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from dataclasses import dataclass
from typing import ClassVar
@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    FEATURE: ClassVar[str] = 'norm'
    epsilon: float
    kind: str = 'rms'
    weight_offset: float = 0.0
    bias: bool = False
    weight: bool = True
@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    FEATURE: ClassVar[str] = 'rope_scaling'
    kind: str = 'linear'
    factor: float
    original_length: int | None = None
    low_frequency: float | None = None
    high_frequency: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool | None = None
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    FEATURE: ClassVar[str] = 'rope'
    theta: float
    rotary_size: int
    scaling: RopeScaling | None = None
    interleaved: bool = False
@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    FEATURE: ClassVar[str] = 'temperature'
    step: int
    factor: float
@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeBias:
    FEATURE: ClassVar[str] = 'relative_bias'
    num_buckets: int
    max_distance: int
