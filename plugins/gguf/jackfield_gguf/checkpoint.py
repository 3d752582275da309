"""An open GGUF file as a checkpoint: canonical config, canonical tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.dtypes import FLOAT32, UINT8, DType
from jackfield.errors import CheckpointError
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield_gguf.blocks import dequantize
from jackfield_gguf.config import read_config
from jackfield_gguf.files import GgufFiles
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.names import CanonicalName, Undo, canonical_name
from jackfield_gguf.parts import GgufModel
from jackfield_gguf.reader import GgufTensor

_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}


class GgufCheckpoint(Checkpoint):
    """Plain elements are handed out as views of the map, blocks as new float32 buffers."""

    def __init__(self, files: GgufFiles) -> None:
        self._file = GgufModel(files)
        try:
            metadata = Metadata(self._file)
            self._config = read_config(metadata)
            self._stored: dict[str, tuple[GgufTensor, CanonicalName]] = {}
            self._experts: dict[str, int] = {}  # by the name of one of them
            self._tensors: dict[str, TensorInfo] = {}
            self._packed: dict[str, TensorInfo] = {}
            for tensor in self._file.tensors.values():
                self._add(tensor, canonical_name(tensor.name, metadata))
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> Mapping[str, Any]:
        """What config.json would say."""
        return self._config

    @property
    def generation(self) -> Mapping[str, Any]:
        """What generation_config.json would say (general.sampling.*)."""
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
        """The elements of one tensor, dequantised and with what the format bakes in undone."""
        import numpy as np

        if name in self._packed:
            return self._blocks(*self._stored[name.rpartition(".")[0]])
        stored, canonical = self._stored[name]
        view = self._file.data(stored)
        if name in self._experts:
            size = view.nbytes // stored.shape[0]
            view = view[self._experts[name] * size :][:size]
        if stored.format.is_plain and canonical.undo is Undo.NOTHING:
            return view
        data: Any = np.frombuffer(view, dtype=np.uint8)
        if canonical.undo is Undo.UNPAIR:
            data = _unpair(data, stored, canonical.num_heads)
        if not stored.format.is_plain or canonical.undo is Undo.SUBTRACT_ONE:
            data = dequantize(data, stored.format)
        if canonical.undo is Undo.SUBTRACT_ONE:
            data -= 1
        if canonical.undo is Undo.TRANSPOSE:
            elements = data.view(f"u{_dtype(stored, canonical).itemsize}").reshape(stored.shape)
            data = np.ascontiguousarray(elements.T)
        return memoryview(data).cast("B")

    def close(self) -> None:
        """Release the map."""
        self._file.close()

    def _blocks(self, stored: GgufTensor, canonical: CanonicalName) -> memoryview:
        import numpy as np

        view = self._file.data(stored)
        if canonical.undo is Undo.NOTHING:
            return view
        data: Any = np.frombuffer(view, dtype=np.uint8)
        return memoryview(_unpair(data, stored, canonical.num_heads)).cast("B")

    def _add(self, stored: GgufTensor, canonical: CanonicalName | None) -> None:
        if canonical is None:
            return
        if "{e}" in canonical.name:
            for expert in range(stored.shape[0]):
                name = canonical.name.replace("{e}", str(expert))
                self._stored[name], self._experts[name] = (stored, canonical), expert
                dtype, shape = _dtype(stored, canonical), stored.shape[1:]
                self._tensors[name] = TensorInfo(name, dtype, shape, str(self._file.path))
            return
        is_transposed = canonical.undo is Undo.TRANSPOSE
        self._stored[canonical.name] = stored, canonical
        self._tensors[canonical.name] = TensorInfo(
            canonical.name,
            _dtype(stored, canonical),
            stored.shape[::-1] if is_transposed else stored.shape,
            str(self._file.path),
        )
        is_in_rows = canonical.undo in (Undo.NOTHING, Undo.UNPAIR) and len(stored.shape) == 2
        if is_in_rows and not stored.format.is_plain:
            name = f"{canonical.name}.{stored.format.name}"
            row_bytes = (stored.stop - stored.start) // stored.shape[0]
            shape = (stored.shape[0], row_bytes)
            self._packed[name] = TensorInfo(name, UINT8, shape, str(self._file.path))


def _dtype(stored: GgufTensor, canonical: CanonicalName) -> DType:
    return FLOAT32 if canonical.undo is Undo.SUBTRACT_ONE else stored.format.dtype


def _unpair(data: Any, stored: GgufTensor, num_heads: int) -> Any:
    """Rows back from rotary pairs to halves, head by head. Rows are moved as they are stored, blocks and all."""
    num_rows = stored.shape[0] if len(stored.shape) > 1 else stored.shape[-1]
    if num_rows % (2 * num_heads) or data.size % num_rows:
        raise CheckpointError(
            f"{stored.name!r} has the shape {list(stored.shape)}; {num_heads} heads need a first axis "
            f"that is a multiple of {2 * num_heads}. Metadata and tensors are of different models"
        )
    rows = data.reshape(num_heads, num_rows // num_heads // 2, 2, -1)
    return rows.swapaxes(1, 2).reshape(-1)
