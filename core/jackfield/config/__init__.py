"""Settings: which there are (schema), how they are read (loader), and what set each of them (provenance)."""

from jackfield.config.loader import LoadedConfig, load_config
from jackfield.config.provenance import Source, SourceKind
from jackfield.config.schema import (
    CacheSettings,
    EngineConfig,
    ExecutorSettings,
    ModelSettings,
    PluginSettings,
    Scalar,
    SchedulerSettings,
    SpeculationSettings,
)
from jackfield.config.toml import to_toml

__all__ = [
    "CacheSettings",
    "EngineConfig",
    "ExecutorSettings",
    "LoadedConfig",
    "ModelSettings",
    "PluginSettings",
    "Scalar",
    "SchedulerSettings",
    "Source",
    "SourceKind",
    "SpeculationSettings",
    "load_config",
    "to_toml",
]
