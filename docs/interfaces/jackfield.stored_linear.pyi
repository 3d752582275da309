# Part of: jackfield.executors.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from collections.abc import Mapping
from dataclasses import dataclass
from jackfield.dtypes import DType
@dataclass(frozen=True, slots=True)
class StoredTensor:
    dtype: DType
    shape: tuple[int, ...]
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLinear:
    name: str
    in_size: int | None
    out_size: int | None
    tensors: Mapping[str, StoredTensor]

    def tensor(self, *parameters: str) -> StoredTensor:
        ...

    def expect(self, parameter: str, *shape: int | None) -> StoredTensor:
        ...
