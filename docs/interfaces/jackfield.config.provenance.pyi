# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from dataclasses import dataclass
from enum import IntEnum
class SourceKind(IntEnum):
    DEFAULT = 0
    PLATFORM = 1
    FILE = 2
    ENVIRONMENT = 3
    CLI = 4
    CODE = 5
    DERIVED = 6
@dataclass(frozen=True, slots=True)
class Source:
    kind: SourceKind
    where: str

    def __str__(self) -> str:
        ...
DEFAULT = Source(SourceKind.DEFAULT, 'default')
