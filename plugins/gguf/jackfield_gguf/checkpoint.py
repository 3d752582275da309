"""An open GGUF file as a checkpoint: canonical config, canonical tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.dtypes import FLOAT32, UINT8, DType
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield_gguf.config import read_config
from jackfield_gguf.files import GgufFiles
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.names import CanonicalName, canonical_name
from jackfield_gguf.parts import GgufModel
from jackfield_gguf.reader import GgufTensor
from jackfield_gguf.undo import (
    JOINED,
    Undo,
    canonical_bytes,
    canonical_dtype,
    canonical_shape,
    join,
    joined_shape,
    unpair,
)

_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}


class GgufCheckpoint(Checkpoint):
    """Plain elements are given out as views of the memory map, blocks as new float32 buffers."""

    def __init__(self, files: GgufFiles) -> None:
        self._file = GgufModel(files)
        try:
            metadata = Metadata(self._file)
            self._config = read_config(metadata)
            self._stored: dict[str, tuple[GgufTensor, CanonicalName]] = {}
            self._experts: dict[str, int] = {}  # number of experts, by the name of one of them
            # Tensors that are stored in two parts.
            self._joined: dict[str, dict[Undo, GgufTensor]] = {}
            self._tensors: dict[str, TensorInfo] = {}
            self._packed: dict[str, TensorInfo] = {}
            for tensor in self._file.tensors.values():
                self._add(tensor, canonical_name(tensor.name, metadata))
            for name, parts in self._joined.items():
                self._tensors[name] = self._info(name, FLOAT32, joined_shape(parts))
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> Mapping[str, Any]:
        """The content that config.json would have."""
        return self._config

    @property
    def generation(self) -> Mapping[str, Any]:
        """The content that generation_config.json would have (general.sampling.*)."""
        return {
            word: self._file[f"general.sampling.{key}"]
            for key, word in _SAMPLING.items()
            if f"general.sampling.{key}" in self._file
        }

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """All tensors by canonical name."""
        return self._tensors

    @property
    def packed(self) -> Mapping[str, TensorInfo]:
        """The blocks of matrices whose rows are whole outputs."""
        return self._packed

    def read(self, name: str) -> memoryview:
        """The elements of one tensor, dequantised and with the format's own changes undone."""
        if name in self._packed:
            return self._blocks(name.rpartition(".")[0])
        if name in self._joined:
            parts = self._joined[name]
            keys, values = (
                canonical_bytes(undo, self._file.data(parts[undo]), parts[undo]) for undo in JOINED
            )
            return join(keys, values, parts)
        stored, canonical = self._stored[name]
        view = self._view(name)
        return canonical_bytes(canonical.undo, view, stored, canonical.num_heads)

    def close(self) -> None:
        """Release the memory map."""
        self._file.close()

    def _view(self, name: str) -> memoryview:
        """The stored bytes of a tensor. If experts are stored together, those of one expert."""
        stored, _ = self._stored[name]
        view = self._file.data(stored)
        if name not in self._experts:
            return view
        size = view.nbytes // stored.shape[0]
        return view[self._experts[name] * size :][:size]

    def _blocks(self, name: str) -> memoryview:
        import numpy as np

        stored, canonical = self._stored[name]
        view = self._view(name)
        if canonical.undo is Undo.NOTHING:
            return view
        data: Any = np.frombuffer(view, dtype=np.uint8)
        return memoryview(unpair(data, stored, canonical.num_heads)).cast("B")

    def _add(self, stored: GgufTensor, canonical: CanonicalName | None) -> None:
        if canonical is None:
            return
        if canonical.undo in JOINED:
            self._joined.setdefault(canonical.name, {})[canonical.undo] = stored
            return
        if "{e}" in canonical.name:
            for expert in range(stored.shape[0]):
                name = canonical.name.replace("{e}", str(expert))
                self._experts[name] = expert
                self._enter(name, stored, canonical, stored.shape[1:])
            return
        shape = canonical_shape(canonical.undo, stored.shape)
        self._enter(canonical.name, stored, canonical, shape)

    def _enter(
        self, name: str, stored: GgufTensor, canonical: CanonicalName, shape: tuple[int, ...]
    ) -> None:
        self._stored[name] = stored, canonical
        self._tensors[name] = self._info(name, canonical_dtype(canonical.undo, stored), shape)
        is_in_rows = canonical.undo in (Undo.NOTHING, Undo.UNPAIR) and len(shape) == 2
        if is_in_rows and not stored.format.is_plain:
            packed = f"{name}.{stored.format.name}"
            row_bytes = shape[1] // stored.format.elements * stored.format.bytes
            self._packed[packed] = self._info(packed, UINT8, (shape[0], row_bytes))

    def _info(self, name: str, dtype: DType, shape: tuple[int, ...]) -> TensorInfo:
        return TensorInfo(name, dtype, shape, str(self._file.path))
