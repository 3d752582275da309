# Part of: jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.platforms.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from jackfield.config.loader import LoadedConfig as LoadedConfig
from jackfield.config.loader import load_config as load_config
from jackfield.config.provenance import Source as Source
from jackfield.config.provenance import SourceKind as SourceKind
from jackfield.config.schema import CacheSettings as CacheSettings
from jackfield.config.schema import EngineConfig as EngineConfig
from jackfield.config.schema import ExecutorSettings as ExecutorSettings
from jackfield.config.schema import ModelSettings as ModelSettings
from jackfield.config.schema import PluginSettings as PluginSettings
from jackfield.config.schema import Scalar as Scalar
from jackfield.config.schema import SchedulerSettings as SchedulerSettings
from jackfield.config.schema import SpeculationSettings as SpeculationSettings
from jackfield.config.toml import to_toml as to_toml
