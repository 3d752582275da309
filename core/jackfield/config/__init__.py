"""Settings: what there is (schema), how they are read (loader), and who set each (provenance)."""

from jackfield.config.loader import LoadedConfig, load_config
from jackfield.config.provenance import Layer, Source
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
    "Layer",
    "LoadedConfig",
    "ModelSettings",
    "PluginSettings",
    "Scalar",
    "SchedulerSettings",
    "Source",
    "SpeculationSettings",
    "load_config",
    "to_toml",
]
