"""A linear as the headers of its checkpoint show it: names, types and shapes of its tensors. Nothing is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.dtypes import DType
from jackfield.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Element type and shape of a tensor. Of a tensor that holds all experts: those of one expert."""

    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLinear:
    """The tensors of a linear. Linears that are stored alike share one object, which has the name of the first.

    The methods raise CheckpointError, with a sentence for the user.
    """

    name: str  # "layers.3.mixer.q"
    # Elements of the linear. None: not known, since only foreign code knows it, or since the tensors also hold the
    # outputs of other linears.
    in_size: int | None
    out_size: int | None
    tensors: Mapping[str, StoredTensor]  # by parameter: "qweight", "scales"

    def tensor(self, *parameters: str) -> StoredTensor:
        """The first of these parameters that is stored."""
        found = next((self.tensors[name] for name in parameters if name in self.tensors), None)
        if found is None:
            raise CheckpointError(
                f"{self.name} is stored without {' or '.join(parameters)}; it has "
                f"{', '.join(sorted(self.tensors)) or 'no tensor'}. Fetch the files again, or correct the method in the "
                "config"
            )
        return found

    def expect(self, parameter: str, *shape: int | None) -> StoredTensor:
        """The parameter, which must be stored in this shape. None stands for any number."""
        found = self.tensor(parameter)
        is_right = len(found.shape) == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
        )
        if not is_right:
            wanted = (
                " x ".join("any" if size is None else str(size) for size in shape) or "one number"
            )
            raise CheckpointError(
                f"{parameter} of {self.name} has shape {found.shape}; this linear of {self.in_size} inputs needs {wanted}. "
                "Check that the config belongs to this checkpoint, or fetch the files again"
            )
        return found
