"""How much memory an engine will take, from headers and settings alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from jackfield.dtypes import parse_dtype
from jackfield.engine.blueprint import Blueprint
from jackfield.errors import JackfieldError
from jackfield.kv_cache.sizing import CacheBudget
from jackfield.model_spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes over all ranks."""

    weight_bytes: int
    block_bytes: tuple[int, ...]  # of one block of each cache group
    num_blocks: tuple[int, ...] | None  # of each group; None: known once the weights are loaded
    cache_tokens: int | None  # that the first group holds
    note: str = ""  # why the cache is not known, or does not fit


def estimate_memory(blueprint: Blueprint) -> MemoryEstimate:
    """Weights in the engine's dtype, and the cache where the settings fix its size. Reads headers only."""
    config = blueprint.config
    width = parse_dtype(config.model.dtype).itemsize
    with blueprint.open_checkpoint() as checkpoint:
        sizes = [prod(info.shape) for info in checkpoint.tensors.values()]
        num_weights = num_parameters(blueprint.spec) if checkpoint.is_synthetic else sum(sizes)
    groups = blueprint.spec.cache_groups(parse_dtype(config.cache.dtype))
    block_bytes = tuple(group.block_bytes(config.cache.block_size) for group in groups)
    budget = CacheBudget(
        groups=groups,
        block_size=config.cache.block_size,
        max_length=config.model.max_length or blueprint.spec.max_length,
        max_rows=config.scheduler.max_rows,
        max_step_tokens=config.scheduler.max_step_tokens,
        depth=config.executor.depth,
    )
    num_blocks: tuple[int, ...] | None = None
    note = "its size is decided once the weights are loaded"
    try:
        if config.cache.num_blocks is not None:
            num_blocks, note = budget.in_proportion(config.cache.num_blocks), ""
        elif config.cache.memory_bytes is not None:
            num_blocks, note = budget.split(config.cache.memory_bytes, block_bytes), ""
    except JackfieldError as error:
        note = str(error)
    return MemoryEstimate(
        weight_bytes=num_weights * width,
        block_bytes=block_bytes,
        num_blocks=num_blocks,
        cache_tokens=num_blocks[0] * config.cache.block_size if num_blocks else None,
        note=note,
    )


def num_parameters(spec: ModelSpec) -> int:
    """Elements of all matrices of a model; norms and biases are too small to count."""
    size = spec.hidden_size
    total = (
        spec.vocab_size * size * (1 if spec.tied_head else 2) + (spec.learned_positions or 0) * size
    )
    for layer in spec.layers:
        mixer, feed_forward = layer.mixer, layer.feed_forward
        total += 2 * size * mixer.head_size * (mixer.num_heads + mixer.num_kv_heads)
        total += size * feed_forward.size * (3 if feed_forward.gated else 2)
    return total
