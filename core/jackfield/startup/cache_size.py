"""The size of the cache, and the length of a request if the user gave none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from jackfield.config import LoadedConfig, SourceKind
from jackfield.interfaces.worker import WorkerReport
from jackfield.kv_cache import CacheBudget

logger = logging.getLogger(__name__)
LENGTH = "model.max_length"
# Least blocks of a request. With fewer, requests cannot be made shorter.
_LEAST_BLOCKS = 2


def size_cache(
    loaded: LoadedConfig, report: WorkerReport, depth: int
) -> tuple[LoadedConfig, tuple[int, ...]]:
    """The settings, with the request length that the cache can hold, and the number of blocks of each group.

    Raises OutOfMemoryError if a length that the user set does not fit, or if nothing fits.
    """
    scheduler, cache = loaded.config.scheduler, loaded.config.cache
    budget = CacheBudget(
        groups=report.groups,
        block_size=cache.block_size,
        max_length=max_length(loaded),
        max_rows=min(scheduler.max_rows, report.limits.max_rows),
        max_step_tokens=min(scheduler.max_step_tokens, report.limits.max_step_tokens),
        depth=depth,
    )
    cache_bytes = report.cache_bytes if cache.memory_bytes is None else cache.memory_bytes
    fitting = shortened(loaded, budget, cache_bytes, report.block_bytes)
    if fitting.max_length < budget.max_length:
        logger.warning("%s", in_words(fitting.max_length, budget.max_length, cache_bytes))
        value = {LENGTH: fitting.max_length}
        loaded = loaded.with_derived("what the cache holds", value)
    if cache.num_blocks is not None:
        return loaded, fitting.in_proportion(cache.num_blocks)
    return loaded, fitting.split(cache_bytes, report.block_bytes)


def max_length(loaded: LoadedConfig) -> int:
    """Most tokens of one request, prompt and output together."""
    length = loaded.config.model.max_length
    assert length is not None, "a blueprint's config has its length resolved"
    return length


def shortened(
    loaded: LoadedConfig, budget: CacheBudget, cache_bytes: int, block_bytes: Sequence[int]
) -> CacheBudget:
    """The budget with requests as long as the cache can hold. If the user set their length, it stays as it is."""
    if loaded.provenance[LENGTH].kind is not SourceKind.DERIVED:
        return budget
    num_blocks = loaded.config.cache.num_blocks
    if num_blocks is not None:
        fits = min(num_blocks * budget.block_size, budget.max_length)
    else:
        fits = budget.longest(cache_bytes, block_bytes)
    is_useful = fits >= min(_LEAST_BLOCKS * budget.block_size, budget.max_length)
    return replace(budget, max_length=fits) if is_useful else budget


def in_words(fits: int, wanted: int, cache_bytes: int) -> str:
    """One line that says what was shortened and how to get more."""
    return (
        f"requests can have {fits:,} tokens, not the {wanted:,} of the model: that is what the cache of "
        f"{cache_bytes / 2**30:,.1f} GiB holds. For longer ones raise cache.memory_bytes (--set cache.memory_bytes=...); "
        f"to be told nothing, set model.max_length={fits}"
    )
