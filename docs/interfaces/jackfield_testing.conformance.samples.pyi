# Part of: jackfield_testing 0.1
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from jackfield.dtypes import DType
from jackfield.interfaces.model_source import ModelFiles
@dataclass(frozen=True, slots=True)
class SampleTensor:
    dtype: DType
    shape: tuple[int, ...]
    data: bytes
    file: str = ''
@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCheckpoint:
    path: Path
    tensors: Mapping[str, SampleTensor]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> ModelFiles:
        ...
def write_safetensors(folder: Path) -> SampleCheckpoint:
    ...
def safetensors_forms(folder: Path) -> Mapping[str, SampleCheckpoint]:
    ...
def write_config(folder: Path) -> ModelFiles:
    ...
def linked_copy(path: Path, folder: Path) -> Path:
    ...
def files_of_no_kind(folder: Path) -> Iterator[ModelFiles]:
    ...
def safetensors_bytes(words: Mapping[str, str], tensors: Mapping[str, SampleTensor]) -> bytes:
    ...
