"""The header of a GGUF file: its metadata, decoded on demand, and the places of its tensors.

Layout (little-endian): magic "GGUF", version u32, number of tensors u64, number of metadata entries u64; the entries
(key, type u32, value), the tensors (name, number of axes u32, sizes u64 from the innermost axis, type u32, offset
u64), padding, then the data, from which offsets count. A text is its length (u64) and that many bytes of UTF-8.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jackfield.checkpoint.mapped_file import MappedFile
from jackfield.errors import CheckpointError
from jackfield_gguf.blocks import BLOCK_FORMATS, BlockFormat, type_in_words
from jackfield_gguf.files import MAGIC

VERSIONS = (2, 3)  # version 1 had 32-bit lengths
DEFAULT_ALIGNMENT = 32  # bytes
_AGAIN = "The file is incomplete or broken: download it again"

_STRING, _ARRAY = 8, 9
_SCALARS = {
    number: struct.Struct("<" + code)
    for number, code in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip
_FLOAT32 = 6
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One stored tensor: `shape` from the outermost axis, `start` and `stop` in the file."""

    name: str
    format: BlockFormat
    shape: tuple[int, ...]
    start: int  # bytes
    stop: int


@dataclass(frozen=True, slots=True)
class _Value:
    """The place of a metadata value."""

    type: int
    at: int  # byte of a scalar or text, or of an array's first element
    item_type: int = 0  # for arrays
    count: int = 0


class GgufFile(Mapping[str, Any]):
    """An open file. As a mapping it holds the metadata. A value is decoded each time it is read.

    A vocabulary of 262,144 tokens takes most of a header, and most uses of a file need none of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = MappedFile(path)
        try:
            self._view = self._file.view
            self._values: dict[str, _Value] = {}
            self.tensors: dict[str, GgufTensor] = {}
            self._read_header()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if value.type == _ARRAY:
            return self._array(value)
        return self._text(value.at) if value.type == _STRING else self._scalar(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def count(self, key: str) -> int:
        """Number of elements of the array `key`, without decoding it."""
        return self._values[key].count

    def data(self, tensor: GgufTensor) -> memoryview:
        """The stored bytes of a tensor: a read-only view of the map."""
        return self._view[tensor.start : tensor.stop]

    def close(self) -> None:
        """Release the memory map."""
        self._view = memoryview(b"")
        self._file.close()

    def _read_header(self) -> None:
        num_tensors, num_values = self._read_preamble()
        where, at = "the counts", 8 + 2 * _U64.size
        try:
            for number in range(num_values):
                where = f"metadata entry {number + 1} of {num_values}"
                key, at = self._text_and_end(at)
                where = f"the metadata {key!r}"
                at = self._read_value(key, at)
            entries = []
            for number in range(num_tensors):
                where = f"the header of tensor {number + 1} of {num_tensors}"
                entry, at = self._read_tensor_entry(at)
                entries.append(entry)
        except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
            raise CheckpointError(
                f"{self.path} ends or breaks off inside {where}: it has {self._file.size} bytes and "
                f"more are needed ({error}). {_AGAIN}"
            ) from error
        alignment = self.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            self._refuse(
                f"general.alignment is {alignment!r}, a positive number of bytes is needed"
            )
        data_start = -(-at // alignment) * alignment
        for name, shape, type_number, offset in entries:
            self._add_tensor(name, shape, type_number, data_start + offset)

    def _read_preamble(self) -> tuple[int, int]:
        head = bytes(self._view[:24])
        if head[:4] != MAGIC:
            self._refuse(f"it starts with {head[:4]!r}; a GGUF file starts with {MAGIC!r}")
        if len(head) < 24:
            self._refuse(f"it has {len(head)} bytes; the first fields of a GGUF file take 24")
        version, num_tensors, num_values = struct.unpack_from("<IQQ", head, 4)
        if version and not version & 0xFFFF:
            self._refuse("it is written for big-endian machines; little-endian is needed")
        if version not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            self._refuse(f"it has the GGUF version {version}; known are {known}")
        return num_tensors, num_values

    def _read_value(self, key: str, at: int) -> int:
        """Note the place of the value of `key`. Returns the byte after it."""
        (type_number,) = _U32.unpack_from(self._view, at)
        at += _U32.size
        if type_number != _ARRAY:
            value = _Value(type_number, at)
            end = self._skip(key, type_number, 1, at)
        else:
            (item_type,) = _U32.unpack_from(self._view, at)
            (count,) = _U64.unpack_from(self._view, at + _U32.size)
            at += _U32.size + _U64.size
            value = _Value(_ARRAY, at, item_type, count)
            end = self._skip(key, item_type, count, at)
        if end > self._file.size:
            raise IndexError(f"up to byte {end}")
        self._values[key] = value
        return end

    def _skip(self, key: str, type_number: int, count: int, at: int) -> int:
        if type_number == _STRING:
            view, unpack = self._view, _U64.unpack_from  # 262,144 rounds for Gemma take 40 ms
            for _ in range(count):
                at += 8 + unpack(view, at)[0]
            return at
        if type_number not in _SCALARS:
            self._refuse(f"the metadata {key!r} have the unknown or nested type {type_number}")
        return at + count * _SCALARS[type_number].size

    def _read_tensor_entry(self, at: int) -> tuple[tuple[str, tuple[int, ...], int, int], int]:
        name, at = self._text_and_end(at)
        (num_axes,) = _U32.unpack_from(self._view, at)
        sizes = struct.unpack_from(f"<{num_axes}Q", self._view, at + 4)
        type_number, offset = struct.unpack_from("<IQ", self._view, at + 4 + 8 * num_axes)
        return (name, sizes[::-1], type_number, offset), at + 16 + 8 * num_axes

    def _add_tensor(self, name: str, shape: tuple[int, ...], type_number: int, start: int) -> None:
        block = BLOCK_FORMATS.get(type_number)
        if block is None:
            known = ", ".join(b.name for b in BLOCK_FORMATS.values())
            self._refuse(
                f"tensor {name!r} has {type_in_words(type_number)}; types that are read: {known}",
                "Take a file that is quantized in one of these, such as Q4_K_M",
            )
        if name in self.tensors:
            self._refuse(f"it has two tensors {name!r}; each name may stand once")
        if not shape or shape[-1] % block.elements:
            self._refuse(
                f"tensor {name!r} of shape {list(shape)} has rows that are no multiple of the "
                f"{block.elements} elements of a {block.name} block"
            )
        stop = start + math.prod(shape) // block.elements * block.bytes
        if stop > self._file.size:
            self._refuse(
                f"tensor {name!r} ({block.name}, shape {list(shape)}) needs {stop - start} bytes up "
                f"to byte {stop}, but the file ends at byte {self._file.size}, "
                f"{stop - self._file.size} too early"
            )
        self.tensors[name] = GgufTensor(name, block, shape, start, stop)

    def _text_and_end(self, at: int) -> tuple[str, int]:
        end = at + 8 + _U64.unpack_from(self._view, at)[0]
        if end > self._file.size:
            raise IndexError(f"up to byte {end}")
        return str(self._view[at + 8 : end], "utf-8"), end

    def _text(self, at: int) -> str:
        end = at + 8 + _U64.unpack_from(self._view, at)[0]
        return str(self._view[at + 8 : end], "utf-8", "replace")

    def _scalar(self, value: _Value) -> Any:
        (found,) = _SCALARS[value.type].unpack_from(self._view, value.at)
        return shortest(found) if value.type == _FLOAT32 else found

    def _array(self, value: _Value) -> list[Any]:
        if value.item_type != _STRING:
            code = _SCALARS[value.item_type].format[1:]
            return list(struct.unpack_from(f"<{value.count}{code}", self._view, value.at))
        view, unpack, at = self._view, _U64.unpack_from, value.at
        texts = []
        for _ in range(value.count):
            end = at + 8 + unpack(view, at)[0]
            texts.append(str(view[at + 8 : end], "utf-8", "replace"))
            at = end
        return texts

    def _refuse(self, what: str, remedy: str = _AGAIN) -> NoReturn:
        raise CheckpointError(f"{self.path} cannot be read as GGUF: {what}. {remedy}")


def shortest(value: float) -> float:
    """The shortest decimal for this float32: 1e-05 for the file's 32 bits of 9.999999747378752e-06."""
    if not math.isfinite(value):
        return value
    pack = struct.Struct("<f").pack
    tries = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next((short for short in tries if pack(short) == pack(value)), value)
