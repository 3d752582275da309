"""The header of a safetensors file: names, types, shapes and byte ranges, checked before tensors are read.

Format: 8 bytes with the header's length (little-endian), the header in JSON, then the data. Offsets count from the
end of the header. The core parses the header itself because the library reads bfloat16 only through a tensor library.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield import dtypes
from jackfield.dtypes import DType
from jackfield.errors import CheckpointError

DTYPES: dict[str, DType] = {
    "F64": dtypes.FLOAT64,
    "F32": dtypes.FLOAT32,
    "F16": dtypes.FLOAT16,
    "BF16": dtypes.BFLOAT16,
    "F8_E4M3": dtypes.FLOAT8_E4M3,
    "F8_E5M2": dtypes.FLOAT8_E5M2,
    "I64": dtypes.INT64,
    "I32": dtypes.INT32,
    "I16": dtypes.INT16,
    "I8": dtypes.INT8,
    "U8": dtypes.UINT8,
    "BOOL": dtypes.BOOL,
}
LENGTH_BYTES = 8
_AGAIN = "The file is incomplete or broken: download it again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file. `start` and `stop` count from the beginning of the file."""

    dtype: DType
    shape: tuple[int, ...]
    start: int  # bytes
    stop: int


def parse_header(path: Path, data: memoryview) -> dict[str, StoredTensor]:
    """All tensors of the file `path`, whose bytes are `data`. Raises CheckpointError."""
    entries, data_start = _read_entries(path, data)
    tensors = {
        name: _read_tensor(path, name, entry, data_start, len(data))
        for name, entry in entries.items()
        if name != "__metadata__"
    }
    _refuse_overlap(path, tensors)
    return tensors


def _read_entries(path: Path, data: memoryview) -> tuple[dict[str, Any], int]:
    if len(data) < LENGTH_BYTES:
        raise CheckpointError(
            f"{path} has {len(data)} bytes, a safetensors file at least {LENGTH_BYTES}. {_AGAIN}"
        )
    (length,) = struct.unpack_from("<Q", data)
    data_start = LENGTH_BYTES + length
    if data_start > len(data):
        raise CheckpointError(
            f"{path} says that its header ends at byte {data_start}, but the file has "
            f"{len(data)} bytes: it is no safetensors file, or cut short. {_AGAIN}"
        )
    try:
        entries = json.loads(bytes(data[LENGTH_BYTES:data_start]))
    except ValueError as error:
        raise CheckpointError(
            f"the header of {path} is no JSON ({error}); a safetensors file starts with one. {_AGAIN}"
        ) from error
    if not isinstance(entries, dict):
        raise CheckpointError(
            f"the header of {path} is a {type(entries).__name__}, not an object. {_AGAIN}"
        )
    return entries, data_start


def _read_tensor(path: Path, name: str, entry: Any, data_start: int, size: int) -> StoredTensor:
    try:
        word, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        is_valid = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and begin <= end
    except (TypeError, KeyError, ValueError):
        is_valid = False
    if not is_valid:
        raise CheckpointError(
            f"{path}: the header of tensor {name!r} is {entry!r}; needed are dtype, shape and two "
            f"rising data_offsets. {_AGAIN}"
        )
    if word not in DTYPES:
        raise CheckpointError(
            f"{path}: tensor {name!r} has the type {word!r}; known: {', '.join(sorted(DTYPES))}. "
            "Convert the checkpoint to one of these"
        )
    dtype = DTYPES[word]
    expected = math.prod(shape) * dtype.itemsize
    if end - begin != expected:
        raise CheckpointError(
            f"{path}: tensor {name!r} of shape {list(shape)} in {dtype} must have {expected} bytes, "
            f"its offsets hold {end - begin}. {_AGAIN}"
        )
    if data_start + end > size:
        raise CheckpointError(
            f"{path}: tensor {name!r} needs {expected} bytes up to byte {data_start + end}, but the "
            f"file ends at byte {size}, {data_start + end - size} too early. {_AGAIN}"
        )
    return StoredTensor(dtype, shape, data_start + begin, data_start + end)


def _refuse_overlap(path: Path, tensors: dict[str, StoredTensor]) -> None:
    reached, owner = 0, ""
    filled = [(t.start, t.stop, name) for name, t in tensors.items() if t.start < t.stop]
    for start, stop, name in sorted(filled):
        if start < reached:
            raise CheckpointError(
                f"{path}: tensors {owner!r} and {name!r} share the bytes {start} to {reached}; "
                f"each tensor must have its own. {_AGAIN}"
            )
        reached, owner = stop, name
