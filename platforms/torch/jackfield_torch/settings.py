"""Settings resolved for one model: what "auto" means, and how layers are named as subjects of a selection."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.cache import CacheGroup
from jackfield.config import EngineConfig
from jackfield.dtypes import DType, parse_dtype
from jackfield.model_spec import ModelSpec


def model_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of weights and activations; where nobody chose one, that of the checkpoint."""
    return spec.dtype if config.model.dtype == "auto" else parse_dtype(config.model.dtype)


def cache_dtype(config: EngineConfig, spec: ModelSpec) -> DType:
    """The dtype of cached keys and values."""
    auto = config.cache.dtype == "auto"
    return model_dtype(config, spec) if auto else parse_dtype(config.cache.dtype)


def max_length(config: EngineConfig, spec: ModelSpec) -> int:
    """Tokens that a row can hold, prompt and output."""
    return config.model.max_length or spec.max_length


def subject_of(group: CacheGroup) -> str:
    """The layers of a cache group in words: "layers 0-4, 6-10, 12"."""
    return f"layers {', '.join(ranges(group.layers))}"


def heads_of_rank(num_heads: int, num_ranks: int) -> int:
    """Heads that one rank holds; key-value heads are replicated where there are fewer than ranks."""
    return max(1, num_heads // num_ranks)


def ranges(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers in words: "0-4", "6"."""
    starts = [n for i, n in enumerate(numbers) if i == 0 or numbers[i - 1] != n - 1]
    ends = [n for i, n in enumerate(numbers) if i == len(numbers) - 1 or numbers[i + 1] != n + 1]
    return [
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    ]
