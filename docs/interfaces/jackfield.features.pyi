# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1
from typing import Any
from typing import ClassVar
from typing import Protocol
class HasFeatures(Protocol):
    FEATURE: ClassVar[str]
def features_in_use(value: Any) -> frozenset[str]:
    ...
def possible_features(value: Any) -> frozenset[str]:
    ...
