"""Settings resolved for one model: what "auto" means, and what one of several ranks holds."""

from __future__ import annotations

from jackfield.config import EngineConfig
from jackfield.dtypes import DType, parse_dtype
from jackfield.model_spec import ModelSpec


def model_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of weights and activations; where nobody chose one, that of the checkpoint."""
    return spec.dtype if config.model.dtype == "auto" else parse_dtype(config.model.dtype)


def cache_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of cached keys and values."""
    if config.cache.dtype != "auto":
        return parse_dtype(config.cache.dtype)
    return (spec.quantization and spec.quantization.cache_dtype) or model_dtype(config, spec)


def max_length(config: EngineConfig, spec: ModelSpec) -> int:
    """Tokens that a row can hold, prompt and output."""
    return config.model.max_length or spec.max_length


def heads_of_rank(num_heads: int, num_ranks: int) -> int:
    """Heads that one rank holds; key-value heads are replicated where there are fewer than ranks."""
    return max(1, num_heads // num_ranks)
