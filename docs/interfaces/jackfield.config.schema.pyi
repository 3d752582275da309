# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
Scalar = str | int | float | bool | None
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    reference: str = ''
    revision: str | None = None
    tokenizer: str | None = None
    dtype: str = 'auto'
    max_length: int | None = None
    seed: int = 0
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    block_size: int = 16
    num_blocks: int | None = None
    memory_fraction: float = 0.9
    memory_bytes: int | None = None
    prefix_caching: bool = True
    dtype: str = 'auto'
@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    max_step_tokens: int = 2048
    max_rows: int = 256
    long_prefill_tokens: int | None = None
    watermark: float = 0.01
    max_waiting: int | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationSettings:
    num_tokens: int = 0
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    depth: int = 2
    tensor_parallel: int = 1
    expert_parallel: bool = False
    pipeline_parallel: int = 1
    num_cohorts: int = 1
    start_method: str = SPAWN
    start_timeout_s: float = 600.0
    step_timeout_s: float | None = None
    close_timeout_s: float = 30.0
@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    autoload: bool = True
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    probe: str = 'process'
    import_timeout_s: float = 20.0
    probe_timeout_s: float = 60.0
    lock: str | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    model: ModelSettings = field(default_factory=ModelSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    select: Mapping[str, Any] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
