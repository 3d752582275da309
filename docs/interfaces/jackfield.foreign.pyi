# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from dataclasses import dataclass
from typing import ClassVar
@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCode:
    FEATURE: ClassVar[str] = 'foreign'
    runtime: str = ''
    target: str
    linears: tuple[str, ...]
    facts: str
    num_parameters: int
    note: str
