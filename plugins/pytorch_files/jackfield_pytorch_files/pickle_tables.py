"""The table of tensors in a file of torch.save: a pickle, of which only tensors and plain values are read.

The file is a zip archive of stored (uncompressed) entries: NAME/data.pkl, and NAME/data/KEY with the bytes of each
storage. A pickle can call any function; this reader knows the few functions that rebuild tensors, and refuses all
others.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jackfield import dtypes
from jackfield.dtypes import DType

_STORAGES: Mapping[str, DType] = {
    "DoubleStorage": dtypes.FLOAT64,
    "FloatStorage": dtypes.FLOAT32,
    "HalfStorage": dtypes.FLOAT16,
    "BFloat16Storage": dtypes.BFLOAT16,
    "LongStorage": dtypes.INT64,
    "IntStorage": dtypes.INT32,
    "ShortStorage": dtypes.INT16,
    "CharStorage": dtypes.INT8,
    "ByteStorage": dtypes.UINT8,
    "BoolStorage": dtypes.BOOL,
}
_TYPES: Mapping[str, DType] = {
    "float8_e4m3fn": dtypes.FLOAT8_E4M3,
    "float8_e5m2": dtypes.FLOAT8_E5M2,
    **dtypes.DTYPES,
}
_UNTYPED = "UntypedStorage"


@dataclass(frozen=True, slots=True)
class Storage:
    """The bytes that tensors are views of."""

    key: str  # name of its entry in the archive
    dtype: DType | None  # None: each tensor has its own


@dataclass(frozen=True, slots=True)
class View:
    """A tensor over a storage."""

    storage: Storage
    dtype: DType
    start: int  # element of the storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # elements

    @property
    def is_contiguous(self) -> bool:
        """True if its elements are stored in C order without gaps."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size > 1 and stride != expected:
                return False
            expected *= size
        return True


def read_tables(data: bytes) -> dict[str, View]:
    """The tensors by name, also from a table inside the table. Raises UnpicklingError for other content of the pickle."""
    found: dict[str, View] = {}
    try:
        _collect(_Reader(io.BytesIO(data)).load(), "", found)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # the errors of a broken pickle depend on its opcodes
        raise pickle.UnpicklingError(f"the pickle is broken: {error}") from error
    return found


def _collect(value: Any, prefix: str, found: dict[str, View]) -> None:
    """Some trainers put the table into `{"state_dict": {...}}` or `{"model": {...}}`."""
    if isinstance(value, View):
        found[prefix] = value
    elif isinstance(value, dict):
        inner = [key for key in ("state_dict", "model") if isinstance(value.get(key), dict)]
        if inner and not prefix:
            value = value[inner[0]]
        for name, entry in value.items():
            if isinstance(entry, View):
                found[str(name)] = entry


class _Reader(pickle.Unpickler):
    """Can rebuild tensors, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        if module in ("torch", "torch.storage") and (name in _STORAGES or name == _UNTYPED):
            return name
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of a tensor")

    def persistent_load(self, pid: Any) -> Storage:
        kind, storage, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r}, known are storages")
        return Storage(str(key), _STORAGES.get(storage))


def _view(
    storage: Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: Any
) -> View:
    dtype = next((value for value in rest if isinstance(value, DType)), storage.dtype)
    if dtype is None:
        raise pickle.UnpicklingError("a tensor has no element type")
    return View(storage, dtype, start, tuple(shape), tuple(strides))


def _parameter(view: View, *rest: Any) -> View:
    return view


_FUNCTIONS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_tensor_v3"): _view,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
}
