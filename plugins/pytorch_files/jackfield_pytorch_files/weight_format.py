"""Folders with config.json and weights of torch.save: .bin in Transformers' naming, .pt and .pth."""

from __future__ import annotations

import math
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jackfield.checkpoint.json_file import read_json
from jackfield.checkpoint.mapped_file import MappedFile
from jackfield.checkpoint.quantization_files import with_quantization
from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, TensorInfo, WeightFormat
from jackfield_pytorch_files.pickle_tables import View, read_tables

CONFIG = "config.json"
_PATTERNS = ("pytorch_model*.bin", "*.pt", "*.pth")
_NUMBERED = re.compile(r"-(\d+)-of-(\d+)$")  # pytorch_model-00001-of-00002.bin
_LOCAL_HEADER = 30  # bytes before the name of an entry in a zip archive
_AGAIN = "Download it again, or convert the model to safetensors"


class PytorchFormat(WeightFormat):
    """Opens folders without safetensors, which would be preferred."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse folders without such a file or config.json, and folders with safetensors."""
        if not need.path.is_dir():
            return (Reason("not_a_folder", f"{need.path} is no folder", "name a folder"),)
        if need.glob("*.safetensors"):
            text = f"{need.path} holds *.safetensors, which load faster"
            return (Reason("safetensors", text, "leave select.weight_format out"),)
        if not _weight_files(need):
            text = f"{need.path} holds no {', '.join(_PATTERNS)}"
            return (Reason("no_files", text, "add the model's weights"),)
        if not need.find(CONFIG):
            return (Reason("no_config", f"{need.path} holds no {CONFIG}", "add the model's"),)
        return ()

    def open(self, files: ModelFiles) -> PytorchCheckpoint:
        """Map the files and read their tables."""
        return PytorchCheckpoint(files)


class PytorchCheckpoint(Checkpoint):
    """Tensors are views of the mapped files, except those that are stored with other strides."""

    def __init__(self, files: ModelFiles) -> None:
        self._config = with_quantization(read_json(files.path / CONFIG), files)
        self._places: dict[str, tuple[MappedFile, View, int]] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._maps: list[MappedFile] = []
        try:
            paths = _weight_files(files)
            _check_all_there(paths)
            for path in paths:
                self._open(path)
            if not self._tensors:
                raise CheckpointError(
                    f"{files.path} holds no tensors in {', '.join(_PATTERNS)}; weights are needed beside {CONFIG}. "
                    "Add the model's"
                )
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json, with the quantization settings of a file beside it."""
        return self._config

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The tensors of all files."""
        return self._tensors

    def read(self, name: str) -> memoryview:
        """A view of the memory map, or a copy in C order."""
        file, view, start = self._places[name]
        width = view.dtype.itemsize
        begin = start + view.start * width
        if view.is_contiguous:
            return file.view[begin : begin + math.prod(view.shape) * width]
        return memoryview(_in_order(file.view[begin:], view))

    def close(self) -> None:
        """Release the memory maps."""
        for file in self._maps:
            file.close()
        self._maps.clear()

    def _open(self, path: Path) -> None:
        file = MappedFile(path)
        self._maps.append(file)
        try:
            with zipfile.ZipFile(path) as archive:
                entries = {info.filename: info for info in archive.infolist()}
                (table,) = [name for name in entries if name.endswith("/data.pkl")]
                views = read_tables(archive.read(table))
        except (zipfile.BadZipFile, ValueError, pickle.UnpicklingError, EOFError) as error:
            raise CheckpointError(
                f"{path} is no file of tensors that torch.save wrote (torch 1.6 or later): {error}. {_AGAIN}"
            ) from error
        folder = table.removesuffix("data.pkl")
        for name, view in views.items():
            if name in self._tensors:
                raise CheckpointError(
                    f"tensor {name!r} stands in {self._tensors[name].file} and in {path}; each must stand in one file. "
                    "Remove the file that is not of this model"
                )
            start = _check(path, name, view, entries.get(f"{folder}data/{view.storage.key}"), file)
            self._places[name] = file, view, start
            self._tensors[name] = TensorInfo(name, view.dtype, view.shape, str(path))


def _check(
    path: Path, name: str, view: View, entry: zipfile.ZipInfo | None, file: MappedFile
) -> int:
    """The position of the storage's bytes in the file. Raises CheckpointError."""
    last = sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    needed = (view.start + last + 1) * view.dtype.itemsize if math.prod(view.shape) else 0
    if entry is None or entry.compress_type != zipfile.ZIP_STORED or entry.file_size < needed:
        found = "none" if entry is None else f"{entry.file_size} bytes"
        raise CheckpointError(
            f"{path}: tensor {name!r} of shape {list(view.shape)} in {view.dtype} needs a storage of {needed} bytes, "
            f"the file has {found}. {_AGAIN}"
        )
    at = entry.header_offset
    name_bytes, extra_bytes = struct.unpack_from("<HH", file.view, at + _LOCAL_HEADER - 4)
    start: int = at + _LOCAL_HEADER + name_bytes + extra_bytes
    if start + entry.file_size > file.size:
        raise CheckpointError(
            f"{path}: tensor {name!r} ends behind the file, at {start + entry.file_size} of {file.size} bytes. {_AGAIN}"
        )
    return start


def _in_order(data: memoryview, view: View) -> bytes:
    """The elements of a tensor with other strides, copied in C order."""
    width = view.dtype.itemsize
    offsets = [0]
    for size, stride in zip(view.shape, view.strides, strict=True):
        offsets = [offset + index * stride for offset in offsets for index in range(size)]
    return b"".join(data[offset * width : (offset + 1) * width] for offset in offsets)


def _check_all_there(paths: tuple[Path, ...]) -> None:
    """Raise CheckpointError if files are numbered and one is missing."""
    numbers = [found for path in paths if (found := _NUMBERED.search(path.stem))]
    count = max((int(found[2]) for found in numbers), default=0)
    missing = set(range(1, count + 1)) - {int(found[1]) for found in numbers}
    if missing:
        raise CheckpointError(
            f"{paths[0].parent} lacks file {', '.join(map(str, sorted(missing)))} of {count} of the model's weights. "
            "Download it"
        )


def _weight_files(files: ModelFiles) -> tuple[Path, ...]:
    """Files of the first pattern with a match. Folders may hold optimizer states and the like beside the weights."""
    return next((found for pattern in _PATTERNS if (found := files.glob(pattern))), ())
