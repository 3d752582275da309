"""Estimates the memory of an engine, from headers and settings alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import prod

from jackfield.cache import CacheGroup
from jackfield.dtypes import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, parse_dtype
from jackfield.errors import JackfieldError
from jackfield.interfaces.weights import TensorInfo
from jackfield.kv_cache.sizing import CacheBudget
from jackfield.model_spec import ModelSpec
from jackfield.startup.blueprint import Blueprint
from jackfield.startup.cache_size import shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEstimate:
    """What the layers of one cache group keep."""

    kind: str  # one of jackfield.cache.KINDS
    num_layers: int
    # Elements that each layer keeps for a token; if the kind is recurrent, for a request.
    num_elements: int
    # Bytes of one block in all layers. If the kind is recurrent, a block is one state.
    block_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes over all ranks. Sizes that the settings leave open are decided after the weights are loaded."""

    weight_bytes: int
    block_size: int  # tokens
    block_bytes: tuple[int, ...]  # bytes of one block of each cache group
    num_blocks: tuple[int, ...] | None  # blocks of each group, if the settings fix them
    cache_tokens: int | None  # tokens that the first group holds with num_blocks
    max_cache_tokens: int | None  # most tokens that fit beside the weights, if the memory is known
    cache_bytes: int | None = None  # bytes that the platform would take for the cache
    # Most tokens of a request: as many as the model takes, or fewer if the cache holds fewer.
    max_length: int | None = None
    problem: str = ""  # why the cache would not fit
    groups: tuple[GroupEstimate, ...] = ()  # in the order of block_bytes
    num_parameters: int = 0  # elements of all matrices
    # Elements that one token is multiplied with: fewer than num_parameters if there are experts.
    num_active_parameters: int = 0


def estimate_memory(blueprint: Blueprint) -> MemoryEstimate:
    """Estimate weights and cache. Weights count in the engine's dtype, quantized ones as stored.

    The cache counts if the settings fix its size. Only headers are read.
    """
    config = blueprint.config
    width = parse_dtype(config.model.dtype).itemsize
    with blueprint.open_checkpoint() as checkpoint:
        weight_bytes = (
            num_parameters(blueprint.spec) * width
            if checkpoint.is_synthetic
            else sum(_loaded_bytes(info, width) for info in checkpoint.tensors.values())
        )
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
    cache_bytes = _cache_bytes(blueprint, weight_bytes)
    fitting = shortened(blueprint.loaded, budget, cache_bytes or sys.maxsize, block_bytes)
    num_blocks, problem = None, ""
    try:
        if config.cache.num_blocks is not None:
            num_blocks = fitting.in_proportion(config.cache.num_blocks)
        elif config.cache.memory_bytes is not None:
            num_blocks = fitting.split(config.cache.memory_bytes, block_bytes)
    except JackfieldError as error:
        problem = str(error)
    return MemoryEstimate(
        weight_bytes=weight_bytes,
        block_size=config.cache.block_size,
        block_bytes=block_bytes,
        num_blocks=num_blocks,
        cache_tokens=num_blocks[0] * config.cache.block_size if num_blocks else None,
        max_cache_tokens=_most_tokens(cache_bytes, fitting, block_bytes),
        cache_bytes=cache_bytes,
        max_length=fitting.max_length,
        num_parameters=num_parameters(blueprint.spec),
        num_active_parameters=num_active_parameters(blueprint.spec),
        problem=problem,
        groups=tuple(map(_group, groups, block_bytes)),
    )


def _group(group: CacheGroup, block_bytes: int) -> GroupEstimate:
    return GroupEstimate(
        kind=group.kind,
        num_layers=len(group.layers),
        num_elements=sum(prod(tensor.shape) for tensor in group.tensors),
        block_bytes=block_bytes,
    )


def _cache_bytes(blueprint: Blueprint, weight_bytes: int) -> int | None:
    """The cache of the settings, else the platform's share of the memory that its facts say the weights leave free."""
    cache, facts = blueprint.config.cache, blueprint.facts
    if cache.memory_bytes is not None:
        return cache.memory_bytes
    available = facts.get("available_bytes")
    if not isinstance(available, int):
        return None
    share, most = facts.get("cache_fraction"), facts.get("cache_most_bytes")
    fraction = share if isinstance(share, float) else cache.memory_fraction
    free = max(0, int((available - weight_bytes) * fraction))
    return min(free, most) if isinstance(most, int) else free


def _loaded_bytes(info: TensorInfo, width: int) -> int:
    """Bytes after loading. Only weights in full precision are converted; codes and 8-bit floats belong to a scheme."""
    is_full = info.dtype in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16)
    return prod(info.shape) * (width if is_full else info.dtype.itemsize)


def _most_tokens(
    cache_bytes: int | None, budget: CacheBudget, block_bytes: tuple[int, ...]
) -> int | None:
    if cache_bytes is None:
        return None
    try:
        return budget.split(cache_bytes, block_bytes)[0] * budget.block_size
    except JackfieldError:
        return 0  # not even one request of the configured length fits


def num_parameters(spec: ModelSpec) -> int:
    """Elements of all matrices of a model; norms and biases are too small to count."""
    if spec.foreign is not None:
        return spec.foreign.num_parameters
    size = spec.hidden_size
    tables = (2 if spec.has_head and not spec.tied_head else 1) * spec.vocab_size
    tables += (spec.learned_positions or 0) + (spec.segments or 0)
    forward = sum(
        layer.feed_forward.num_parameters(size) for layer in spec.layers if layer.feed_forward
    )
    return tables * size + _of_mixers(spec) + forward


def num_active_parameters(spec: ModelSpec) -> int:
    """Elements that one token is multiplied with: of the experts only the chosen ones, of the tables only the head."""
    if spec.foreign is not None:
        return spec.foreign.num_parameters  # only the foreign code knows which of them
    size = spec.hidden_size
    forward = sum(
        layer.feed_forward.num_active_parameters(size)
        for layer in spec.layers
        if layer.feed_forward
    )
    head = spec.vocab_size * size if spec.has_head else 0
    return head + _of_mixers(spec) + forward


def _of_mixers(spec: ModelSpec) -> int:
    return sum(layer.mixer.num_parameters(spec.hidden_size) for layer in spec.layers)
