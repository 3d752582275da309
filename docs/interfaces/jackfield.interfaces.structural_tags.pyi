# Part of: jackfield.structured_output.v1
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralTag:
    trigger: str
    begin: str
    schema: dict[str, Any]
    end: str
def read_structural_tags(text: str) -> Sequence[StructuralTag]:
    ...
