# Part of: jackfield.executors.v1, jackfield.model_sources.v1, jackfield.platforms.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.weight_formats.v1
from abc import abstractmethod
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from jackfield.interfaces.card import Card
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    text: str
    revision: str | None = None
    cache_folder: Path = field(default_factory=Path)
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    reference: str
    path: Path

    def find(self, name: str) -> Path | None:
        ...

    def glob(self, pattern: str) -> tuple[Path, ...]:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    name: str
    path: Path | None = None
    num_bytes: int | None = None
class ModelSource(Card):

    def known(self, cache_folder: Path) -> tuple[KnownModel, ...]:
        ...

    def describe(self, reference: ModelReference) -> ModelFiles | None:
        ...

    @abstractmethod
    def resolve(self, reference: ModelReference) -> ModelFiles:
        ...
