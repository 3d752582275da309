# Part of: jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.platforms.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from jackfield.config.provenance import Source
from jackfield.config.schema import EngineConfig
from jackfield.config.schema import Scalar
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    config: EngineConfig
    provenance: Mapping[str, Source]

    def with_platform_defaults(self, name: str, values: Mapping[str, Scalar]) -> LoadedConfig:
        ...

    def with_derived(self, where: str, values: Mapping[str, Scalar]) -> LoadedConfig:
        ...
def load_config(*, file: Path | None=None, environ: Mapping[str, str] | None=None, cli: Mapping[str, str] | None=None, code: Mapping[str, Any] | None=None) -> LoadedConfig:
    ...
