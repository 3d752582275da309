# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1
from collections.abc import Mapping
from typing import TypeVar
from jackfield.config.provenance import Source
from jackfield.config.schema import EngineConfig
T = TypeVar('T')
def read_options(cls: type[T], name: str, config: EngineConfig, provenance: Mapping[str, Source] | None=None) -> T:
    ...
def check_options(declared: Mapping[str, type | None], installed: frozenset[str], config: EngineConfig, provenance: Mapping[str, Source]) -> None:
    ...
