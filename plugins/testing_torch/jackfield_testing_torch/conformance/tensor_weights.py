"""A checkpoint of tensors in memory that knows which of the tensors it gave out are still alive."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_torch.loader import ModelWeights


class TensorWeights(ModelWeights):
    """Parameters by module and name. As with files, each read gives memory of its own."""

    def __init__(self, modules: Mapping[str, Mapping[str, Tensor]]) -> None:
        self._modules = modules
        self._given: list[weakref.ref[np.ndarray]] = []

    def has(self, module: str, parameter: str) -> bool:
        return parameter in self._modules.get(module, {})

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        if not self.has(module, parameter):
            known = ", ".join(self._modules.get(module, {})) or "nothing"
            raise CheckpointError(
                f"tensor {module}.{parameter} is missing; the kit's checkpoint has {known} of it. "
                "Let `quantise` of the kit return all that the scheme reads"
            )
        source = self._modules[module][parameter].contiguous()
        if shape is not None and tuple(source.shape) != shape:
            raise CheckpointError(
                f"tensor {module}.{parameter} has shape {tuple(source.shape)}; expected {shape}. "
                "Let `quantise` of the kit return it as checkpoints store it"
            )
        memory = source.flatten().view(torch.uint8).numpy().copy()
        self._given.append(weakref.ref(memory))  # numpy's memory lives as long as the tensor on it
        return torch.from_numpy(memory).view(source.dtype).view(source.shape)

    @property
    def num_alive(self) -> int:
        """Number of tensors that were given out and whose memory still exists."""
        return sum(ref() is not None for ref in self._given)
