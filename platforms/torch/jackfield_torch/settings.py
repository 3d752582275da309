"""Settings resolved for one model: the meaning of "auto", and the share of one of several ranks."""

from __future__ import annotations

from jackfield.config import EngineConfig
from jackfield.dtypes import DType, parse_dtype
from jackfield.model_spec import ModelSpec


def model_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of weights and activations. If the user chose none, that of the checkpoint."""
    return spec.dtype if config.model.dtype == "auto" else parse_dtype(config.model.dtype)


def cache_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of cached keys and values."""
    if config.cache.dtype != "auto":
        return parse_dtype(config.cache.dtype)
    return (spec.quantization and spec.quantization.cache_dtype) or model_dtype(config, spec)


def max_length(config: EngineConfig, spec: ModelSpec) -> int:
    """Most tokens of a row, prompt and output together."""
    return config.model.max_length or spec.max_length


def heads_of_rank(num_heads: int, num_ranks: int) -> int:
    """Heads on one rank. If there are fewer key-value heads than ranks, they are replicated."""
    return max(1, num_heads // num_ranks)
