"""Samples of model files, which the kits open if a plugin's author gives no others."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jackfield.checkpoint.safetensors_header import DTYPES
from jackfield.dtypes import DType
from jackfield.interfaces.model_source import ModelFiles

_CONFIG = {
    "architectures": ["SampleForCausalLM"],
    "hidden_size": 6,
    "num_hidden_layers": 1,
    "tie_word_embeddings": False,
}
# Maps a name to the format's name of the element type, and a shape.
_Shard = Mapping[str, tuple[str, tuple[int, ...]]]
_SHARDS: tuple[_Shard, ...] = (
    {
        "model.embed_tokens.weight": ("BF16", (11, 6)),
        "model.layers.0.self_attn.q_proj.weight": ("F32", (6, 6)),
        "model.layers.0.self_attn.q_proj.bias": ("F16", (6,)),
    },
    {
        "model.layers.0.mlp.up_proj.weight": ("I8", (5, 6)),
        "model.norm.weight": ("F32", (6,)),
        "lm_head.weight": ("BF16", (11, 6)),
    },
)
_SINGLE = "model.safetensors"
_FORMS: Mapping[str, Mapping[str, _Shard]] = {  # description of the folder -> its files
    "one file": {_SINGLE: {**_SHARDS[0], **_SHARDS[1]}},
    "files without an index": {"first.safetensors": _SHARDS[0], "second.safetensors": _SHARDS[1]},
    "every element type": {_SINGLE: {f"model.{word}": (word, (3, 2)) for word in DTYPES}},
    "odd shapes": {
        _SINGLE: {
            "model.number": ("F32", ()),
            "model.nothing": ("F16", (0, 6)),
            "model.one": ("BF16", (1,)),
            "model.five": ("I64", (1, 2, 1, 3, 2)),
        }
    },
}


@dataclass(frozen=True, slots=True)
class SampleTensor:
    """A tensor that `Checkpoint.read` must yield."""

    dtype: DType
    shape: tuple[int, ...]
    data: bytes  # in C order
    file: str = ""  # name of the file that holds it; "": any file of the sample


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCheckpoint:
    """A checkpoint that was just written, and its content."""

    path: Path  # the folder, or the single file
    tensors: Mapping[str, SampleTensor]  # all tensors, by canonical name
    # Entries that the canonical config must have.
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> ModelFiles:
        """The files, in the form of a model source."""
        return ModelFiles(reference=str(self.path), path=self.path)


def write_safetensors(folder: Path) -> SampleCheckpoint:
    """A folder in the layout of model hubs: config.json, two shards and their index."""
    count = len(_SHARDS)
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    sample = _write(folder, dict(zip(names, _SHARDS, strict=True)))
    weight_map = {tensor: found.file for tensor, found in sample.tensors.items()}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return sample


def safetensors_forms(folder: Path) -> Mapping[str, SampleCheckpoint]:
    """Other folders that are checkpoints of the same format, by description."""
    return {name: _write(folder / name, files) for name, files in _FORMS.items()}


def write_config(folder: Path) -> ModelFiles:
    """A folder that holds only a config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    return ModelFiles(reference=str(folder), path=folder)


def linked_copy(path: Path, folder: Path) -> Path:
    """The model `path` as in the cache of a hub: every file is a link to a file that is named by its digest.

    Raises OSError if the system has no links.
    """
    blobs, copy = folder / "blobs", folder / "snapshots" / path.name
    blobs.mkdir(parents=True)
    files = [file for file in path.rglob("*") if file.is_file()] or [path]
    for file in files:
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        link = copy / file.relative_to(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return copy


def files_of_no_kind(folder: Path) -> Iterator[ModelFiles]:
    """An empty folder, one with a text file, that file, and a path that does not exist."""
    empty, text = folder / "an empty folder", folder / "a folder with a text"
    for path in (empty, text):
        path.mkdir(exist_ok=True)
    (text / "README.txt").write_text("no model here")
    for path in (empty, text, text / "README.txt", folder / "nowhere"):
        yield ModelFiles(reference=str(path), path=path)


def _write(folder: Path, files: Mapping[str, _Shard]) -> SampleCheckpoint:
    write_config(folder)
    tensors: dict[str, SampleTensor] = {}
    for seed, (name, shard) in enumerate(files.items()):
        made = dict(_tensors(shard, name, seed))
        words = {tensor: word for tensor, (word, _) in shard.items()}
        (folder / name).write_bytes(safetensors_bytes(words, made))
        tensors |= made
    return SampleCheckpoint(path=folder, tensors=tensors, config=_CONFIG)


def _tensors(shard: _Shard, file: str, seed: int) -> Iterator[tuple[str, SampleTensor]]:
    noise = random.Random(seed)
    for name, (word, shape) in shard.items():
        dtype = DTYPES[word]
        data = noise.randbytes(math.prod(shape) * dtype.itemsize)
        yield name, SampleTensor(dtype, shape, data, file)


def safetensors_bytes(words: Mapping[str, str], tensors: Mapping[str, SampleTensor]) -> bytes:
    """A file of tensors. `words` are the format's names of their element types ("F32")."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        offsets = [len(data), len(data) + len(tensor.data)]
        header[name] = {
            "dtype": words[name],
            "shape": list(tensor.shape),
            "data_offsets": offsets,
        }
        data += tensor.data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
