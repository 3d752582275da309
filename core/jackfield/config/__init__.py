"""Settings: what there is (schema), where values come from (sources), and what won (provenance)."""

from jackfield.config.schema import (
    CacheSettings,
    EngineConfig,
    ExecutorSettings,
    ModelSettings,
    PluginSettings,
    Scalar,
    SchedulerSettings,
)

__all__ = [
    "CacheSettings",
    "EngineConfig",
    "ExecutorSettings",
    "ModelSettings",
    "PluginSettings",
    "Scalar",
    "SchedulerSettings",
]
