"""Parts of a model spec that mixers and layers share: norms, rotary positions and temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """RMS norm or layer norm over the last axis, computed in float32."""

    FEATURE: ClassVar[str] = "norm"

    epsilon: float  # added to the mean square, or to the variance
    kind: str = "rms"  # "rms" or "layer"
    weight_offset: float = 0.0  # added to the stored weight (Gemma: 1)
    bias: bool = False  # added to the result
    weight: bool = True  # False: the norm has no learned weight (OLMo)


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are changed for longer contexts.

    "linear": factor (Chen et al. 2023).
    "dynamic": NTK-aware base for the engine's configured maximum length. Requests whose computed tokens fit in
    original_length are computed without scaling (`ModelSpec.unscaled_length`).
    "llama3": factor, low_frequency, high_frequency, original_length.
    "yarn" (Peng et al. 2023): beta_fast, beta_slow, original_length, and attention_factor, by default
    0.1 ln(factor) + 1. If `truncate`, the ends of the ramp are rounded.
    "longrope" (Ding et al. 2024): a divisor for each pair. `long_factors` hold if the engine's maximum length exceeds
    original_length, otherwise `short_factors`. attention_factor is by default sqrt(1 + ln(factor) /
    ln(original_length)).
    """

    FEATURE: ClassVar[str] = "rope_scaling"

    kind: str = "linear"  # any kind but "linear" is a named feature
    factor: float  # growth of the context
    original_length: int | None = None  # tokens
    low_frequency: float | None = None  # llama3: low_freq_factor
    high_frequency: float | None = None  # llama3: high_freq_factor
    beta_fast: float | None = None  # yarn: frequencies with more rotations stay unchanged
    beta_slow: float | None = None  # yarn: frequencies with fewer rotations are interpolated
    attention_factor: float | None = None  # yarn: multiplies sine and cosine
    mscale: float | None = None  # yarn: DeepSeek's factor over mscale_all_dim
    mscale_all_dim: float | None = None  # yarn: see mscale
    truncate: bool | None = None  # yarn: True rounds the ends of the ramp
    short_factors: tuple[float, ...] = ()  # longrope: a divisor for each pair
    long_factors: tuple[float, ...] = ()  # longrope: the same for lengths beyond original_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Rotary position embedding (Su et al. 2021)."""

    FEATURE: ClassVar[str] = "rope"

    theta: float  # base of the frequencies
    rotary_size: int  # leading elements of a head that rotate
    scaling: RopeScaling | None = None  # for longer contexts
    interleaved: bool = False  # pairs (0, 1), (2, 3), ... instead of halves


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Sharpens attention over long contexts: the query of position p is multiplied by 1 + factor ln(1 + floor((p + 1) / step)).

    Nakanishi 2025, scalable softmax, as used in Llama 4.
    """

    FEATURE: ClassVar[str] = "temperature"

    step: int  # tokens
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeBias:
    """A learned number of each head and distance is added to scores (Raffel et al. 2020, section 2.1).

    Distances to either side share out `num_buckets`: half of each side's are of one distance, the others grow up to
    `max_distance`. Logical module `mixer.relative_bias`, [buckets, heads].
    """

    FEATURE: ClassVar[str] = "relative_bias"

    num_buckets: int  # even
    max_distance: int  # tokens, from which on all are alike
