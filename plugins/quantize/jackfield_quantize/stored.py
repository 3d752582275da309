"""Finds the matrices of a checkpoint that hold logical linears, and puts outputs back into their order there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield.model_spec import ModelSpec, Transpose
from jackfield_quantize.matrices import Matrix, join
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.transforms import apply_transforms

AnyMatrix = TypeVar("AnyMatrix", bound=Matrix)


@dataclass(frozen=True, slots=True, eq=False)
class StoredModule:
    """A matrix of the checkpoint, which may hold the outputs of several logical linears. O outputs, I inputs."""

    name: str  # as in the checkpoint, e.g. model.layers.0.self_attn.qkv_proj
    weight: TensorInfo
    shape: tuple[int, int]  # O, I
    is_transposed: bool  # stored as [I, O]
    rows: Mapping[str, Tensor]  # int64 for each logical linear: its outputs of this matrix

    def placed(self, matrices: Mapping[str, Matrix]) -> Matrix:
        """The matrices of the linears as one matrix in the order of the checkpoint."""
        return join([matrices[name] for name in self.rows]).outputs(self._order)

    def placed_vector(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """The same for vectors with one number for each output."""
        return torch.cat([vectors[name] for name in self.rows])[self._order]

    @property
    def _order(self) -> Tensor:
        return torch.cat(list(self.rows.values())).argsort()


def stored_modules(
    spec: ModelSpec, checkpoint: Checkpoint, linears: Iterable[str]
) -> list[StoredModule]:
    """The matrices that hold those linears. Raises CheckpointError if one cannot be written back."""
    parts: dict[str, list[str]] = {}
    for linear in linears:
        parts.setdefault(spec.source(linear).name("weight"), []).append(linear)
    return [_module(spec, checkpoint, name, names) for name, names in parts.items()]


def _module(spec: ModelSpec, checkpoint: Checkpoint, tensor: str, names: list[str]) -> StoredModule:
    weight = find_tensor(checkpoint, tensor)
    if weight is None or len(weight.shape) != 2:
        shape = weight.shape if weight else "none"
        raise CheckpointError(
            f"{tensor} must be a matrix to be quantised, its shape is {shape}. Linears of two axes alone can be stored in "
            "the formats of other engines: take a checkpoint that keeps its experts apart"
        )
    transforms = {name: spec.source(name).transforms for name in names}
    is_transposed = any(isinstance(t, Transpose) for found in transforms.values() for t in found)
    num_outputs, num_inputs = weight.shape[::-1] if is_transposed else weight.shape
    whole = torch.arange(num_outputs)
    rows = {name: apply_transforms(whole, transforms[name]) for name in names}
    if not torch.equal(torch.cat(list(rows.values())).sort().values, whole):
        raise CheckpointError(
            f"{', '.join(names)} are not all of {tensor}, or change its numbers: it cannot be written back. "
            "Take a checkpoint of this model that keeps its linears apart"
        )
    name = weight.name.removesuffix(".weight")
    return StoredModule(name, weight, (num_outputs, num_inputs), is_transposed, rows)


def find_tensor(checkpoint: Checkpoint, name: str) -> TensorInfo | None:
    """The tensor with the full name, or without its first part: checkpoints of a bare base model lack it."""
    return checkpoint.tensors.get(name) or checkpoint.tensors.get(name.partition(".")[2])


def read_tensor(checkpoint: Checkpoint, info: TensorInfo) -> Tensor:
    """The tensor as stored, in memory of its own."""
    view = np.frombuffer(checkpoint.read(info.name), np.uint8)
    return torch.from_numpy(view.copy()).view(torch_dtype(info.dtype)).reshape(info.shape)


def read_matrix(checkpoint: Checkpoint, module: StoredModule) -> Tensor:
    """float32 [O, I]."""
    weight = read_tensor(checkpoint, module.weight).float()
    return weight.T.contiguous() if module.is_transposed else weight
