"""From a blueprint to running parts: starts the workers, sizes the cache, and makes scheduler and tokenizer."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from jackfield.activation import PluginRef
from jackfield.discovery.kinds import EXECUTORS, SCHEDULERS
from jackfield.discovery.loading import FAULTS, calling, describe, returned
from jackfield.executor.patience import patience
from jackfield.interfaces.executor import Executor
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.interfaces.worker import WorkerReport
from jackfield.kv_cache import BlockManager
from jackfield.scheduler import Scheduler
from jackfield.startup.blueprint import Blueprint
from jackfield.startup.cache_size import max_length, size_cache

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that an engine runs with; invalid after `close()`."""

    blueprint: Blueprint  # with the request length that the cache can hold
    executor: Executor
    report: WorkerReport
    num_blocks: tuple[int, ...]  # for each cache group
    blocks: BlockManager
    scheduler: Scheduler
    tokenizer: Tokenizer | None


def assemble(blueprint: Blueprint) -> Parts:
    """Start the executor and make the other parts. If anything fails, the executor is closed again."""
    executor = blueprint.make_executor()
    plugin = blueprint.plugin(EXECUTORS)
    name = describe(plugin)
    try:
        with calling(plugin, "launch"):
            # Called before there are threads, because the processes may be forks of this one.
            executor.launch()
        with ThreadPoolExecutor(1, "jackfield-tokenizer") as pool:
            tokenizer = pool.submit(blueprint.open_tokenizer) if blueprint.has_tokenizer else None
            with calling(plugin, "start"), patience(f"{name} to load the weights"):
                report: WorkerReport = returned(executor.start(), WorkerReport, "start")
        opened = tokenizer.result() if tokenizer is not None else None
        loaded, num_blocks = size_cache(blueprint.loaded, report, executor.depth)
        blueprint = replace(blueprint, loaded=loaded)
        with calling(plugin, "make a cache with"), patience(f"{name} to make its cache"):
            executor.allocate(num_blocks)
        return _parts(blueprint, executor, report, num_blocks, opened)
    except BaseException:
        close_executor(executor, plugin)
        raise


def close_executor(executor: Executor, plugin: PluginRef) -> None:
    """End the workers. If closing raises, the error is logged: the caller may have another error to report."""
    try:
        executor.close()
    except FAULTS:
        logger.exception("%s raised while it was closed; workers may be left", describe(plugin))


def _parts(
    blueprint: Blueprint,
    executor: Executor,
    report: WorkerReport,
    num_blocks: tuple[int, ...],
    tokenizer: Tokenizer | None,
) -> Parts:
    config = blueprint.config
    blocks = BlockManager(
        report.groups, num_blocks, config.cache.block_size, config.cache.prefix_caching
    )
    scheduler = Scheduler(
        config.scheduler,
        blocks,
        report.limits,
        blueprint.make_policy(),
        max_length=max_length(blueprint.loaded),
        policy_name=describe(blueprint.plugin(SCHEDULERS)),
        drafting=blueprint.make_drafting(),
        num_cohorts=config.executor.num_cohorts,
        vocab_size=blueprint.spec.vocab_size,
    )
    return Parts(
        blueprint=blueprint,
        executor=executor,
        report=report,
        num_blocks=num_blocks,
        blocks=blocks,
        scheduler=scheduler,
        tokenizer=tokenizer,
    )
