"""Parameters by their logical names, as float32 arrays, from any weight format."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from jackfield.dtypes import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from jackfield.errors import CheckpointError
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield.model_spec import ModelSpec, Offset, Permute, Split, Transform, Transpose

from jackfield_acme_numpy.arrays import Floats

_STD = 0.02  # standard deviation of random weights


class Weights:
    """Reads from an open checkpoint. Draws random weights for a synthetic one, which holds none."""

    def __init__(self, checkpoint: Checkpoint, spec: ModelSpec, seed: int) -> None:
        self._checkpoint = checkpoint
        self._spec = spec
        self._seed = seed

    def read(
        self, module: str, parameter: str, *shape: int, neutral: float | None = None
    ) -> Floats:
        """A parameter in its own memory. `neutral` replaces random values (for gains of norms).

        Raises CheckpointError naming file, tensor, expected and found shape.
        """
        if self._checkpoint.is_synthetic:
            if neutral is not None:
                return np.full(shape, neutral, np.float32)
            stream = zlib.crc32(f"{module}.{parameter}".encode())
            random = np.random.default_rng([self._seed, stream])
            return random.standard_normal(shape, np.float32) * np.float32(_STD)
        info, transforms = self._find(module, parameter)
        found = _transformed(self._stored(info), transforms)
        if found.shape != shape:
            raise CheckpointError(
                f"tensor {info.name!r} in {info.file} has shape {info.shape}, which gives {found.shape}; "
                f"expected {shape} for {module}. Check that the config belongs to this checkpoint"
            )
        return np.ascontiguousarray(found)

    def _find(self, module: str, parameter: str) -> tuple[TensorInfo, Sequence[Transform]]:
        """Find a tensor by its full name, or without the first word, which checkpoints of a base model lack."""
        source, tensors = self._spec.source(module), self._checkpoint.tensors
        name = f"{source.prefix}.{parameter}"
        info = tensors.get(name) or tensors.get(name.partition(".")[2])
        if info is None:
            files = ", ".join(sorted({tensor.file for tensor in tensors.values()}))
            raise CheckpointError(
                f"tensor {name!r}, which {module} of {self._spec.architecture} needs, is not among the "
                f"{len(tensors)} of {files or 'no file'}. Check that all files of the checkpoint are there"
            )
        return info, source.transforms

    def _stored(self, info: TensorInfo) -> Floats:
        """A copy, because memory that the checkpoint gives ends with it."""
        data = self._checkpoint.read(info.name)
        if info.dtype == BFLOAT16:  # the upper half of a float32
            upper = np.frombuffer(data, "<u2").astype(np.uint32)
            upper <<= 16
            return upper.view(np.float32).reshape(info.shape)
        if info.dtype not in (FLOAT16, FLOAT32, FLOAT64):
            raise CheckpointError(
                f"tensor {info.name!r} in {info.file} holds {info.dtype}; the platform numpy reads bfloat16, "
                "float16, float32 and float64. Take a checkpoint that is not quantized"
            )
        return np.frombuffer(data, info.dtype.name).astype(np.float32).reshape(info.shape)


def _transformed(array: Floats, transforms: Sequence[Transform]) -> Floats:
    for transform in transforms:
        match transform:
            case Transpose():
                array = array.T
            case Split(start, stop):
                array = array[start:stop]
            case Offset(value):
                array = array + np.float32(value)
            case Permute(num_heads):
                pairs = array.reshape(num_heads, -1, 2, *array.shape[1:])
                array = pairs.swapaxes(1, 2).reshape(array.shape)
    return array
