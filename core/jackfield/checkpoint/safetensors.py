"""Safetensors checkpoints: a folder with config.json and either one file, or shards with an index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jackfield.checkpoint.generation import FILE as GENERATION
from jackfield.checkpoint.json_file import read_if_there, read_json
from jackfield.checkpoint.mapped_file import MappedFile
from jackfield.checkpoint.quantization_files import with_quantization
from jackfield.checkpoint.safetensors_header import StoredTensor, parse_header
from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, TensorInfo, WeightFormat

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class SafetensorsFormat(WeightFormat):
    """Opens folders in the layout of model hubs."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse folders without *.safetensors or config.json."""
        if not need.glob("*.safetensors") and not need.find(INDEX):
            text = f"{need.path} holds no *.safetensors file"
            return (Reason("no_safetensors", text, "add the model's weights"),)
        if not need.path.is_dir():
            text = f"{need.path.name} is a single file, its {CONFIG} stands beside it"
            return (Reason("not_a_folder", text, f"name the folder {need.path.parent}"),)
        if not need.find(CONFIG):
            return (Reason("no_config", f"{need.path} holds no {CONFIG}", "add the model's"),)
        return ()

    def open(self, files: ModelFiles) -> SafetensorsCheckpoint:
        """Map all shards and check their headers."""
        return SafetensorsCheckpoint(files)


class SafetensorsCheckpoint(Checkpoint):
    """Tensors are views of the mapped files: nothing is copied."""

    def __init__(self, files: ModelFiles) -> None:
        self._config = with_quantization(read_json(files.path / CONFIG), files)
        self._generation = read_if_there(files.find(GENERATION))
        self._places: dict[str, tuple[MappedFile, StoredTensor]] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._shards: list[MappedFile] = []
        try:
            index = files.find(INDEX)
            if index:
                self._open_index(index)
            else:
                for path in _weight_files(files):
                    self._open_shard(path)
            if not self._shards:
                raise CheckpointError(
                    f"{files.path} holds no *.safetensors file and no {INDEX}; weights are needed "
                    f"beside {CONFIG}. Add the model's"
                )
        except BaseException:
            self.close()
            raise

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json, with the quantization settings of a file beside it."""
        return self._config

    @property
    def generation(self) -> Mapping[str, Any]:
        """The content of generation_config.json."""
        return self._generation

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The tensors of all shards."""
        return self._tensors

    def read(self, name: str) -> memoryview:
        """A read-only view of the map. The header's ranges were checked when the file was opened."""
        file, stored = self._places[name]
        return file.view[stored.start : stored.stop]

    def close(self) -> None:
        """Release the maps."""
        for shard in self._shards:
            shard.close()
        self._shards.clear()

    def _open_index(self, index: Path) -> None:
        files_of = read_json(index).get("weight_map")
        if not isinstance(files_of, dict) or not files_of:
            raise CheckpointError(
                f"{index} has no 'weight_map' from tensor names to files. Download it again"
            )
        for name in sorted(set(map(str, files_of.values()))):
            path = index.parent / name
            if not path.is_file():
                raise CheckpointError(
                    f"{index.name} names the shard {name}, which is not in {index.parent}; "
                    "all shards are needed. Download it"
                )
            self._open_shard(path)
        for tensor, file in files_of.items():
            found = self._tensors.get(tensor)
            if found is None or Path(found.file).name != file:
                raise CheckpointError(
                    f"{index} says that tensor {tensor!r} stands in {file}, which has no such "
                    "tensor: index and shards are of different models. Download both again"
                )

    def _open_shard(self, path: Path) -> None:
        shard = MappedFile(path)
        self._shards.append(shard)
        for name, stored in parse_header(path, shard.view).items():
            if name in self._tensors:
                raise CheckpointError(
                    f"tensor {name!r} stands in {self._tensors[name].file} and in {path}; each "
                    "must stand in one file. Remove the file that is not of this model"
                )
            self._places[name] = shard, stored
            self._tensors[name] = TensorInfo(name, stored.dtype, stored.shape, str(path))


def _weight_files(files: ModelFiles) -> tuple[Path, ...]:
    """The usual single file; otherwise all files of the folder, without copies in another layout."""
    single = files.find(SINGLE)
    if single:
        return (single,)
    found = files.glob("*.safetensors")
    return tuple(p for p in found if not p.name.startswith("consolidated")) or found
