"""Samples of model files: what the kits open where a plugin's author gives nothing of its own."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jackfield.dtypes import BFLOAT16, FLOAT16, FLOAT32, INT8, DType
from jackfield.interfaces.model_source import ModelFiles

_CONFIG = {
    "architectures": ["SampleForCausalLM"],
    "hidden_size": 6,
    "num_hidden_layers": 1,
    "tie_word_embeddings": False,
}
_SHARDS: tuple[dict[str, tuple[str, DType, tuple[int, ...]]], ...] = (
    {
        "model.embed_tokens.weight": ("BF16", BFLOAT16, (11, 6)),
        "model.layers.0.self_attn.q_proj.weight": ("F32", FLOAT32, (6, 6)),
        "model.layers.0.self_attn.q_proj.bias": ("F16", FLOAT16, (6,)),
    },
    {
        "model.layers.0.mlp.up_proj.weight": ("I8", INT8, (5, 6)),
        "model.norm.weight": ("F32", FLOAT32, (6,)),
        "lm_head.weight": ("BF16", BFLOAT16, (11, 6)),
    },
)


@dataclass(frozen=True, slots=True)
class SampleTensor:
    """A tensor as `Checkpoint.read` must yield it."""

    dtype: DType
    shape: tuple[int, ...]
    data: bytes  # in C order


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCheckpoint:
    """A checkpoint that was just written, and what is in it."""

    path: Path  # the folder, or the single file
    tensors: Mapping[str, SampleTensor]  # all of them, by canonical names
    config: Mapping[str, Any] = field(default_factory=dict)  # what the canonical config must say

    @property
    def files(self) -> ModelFiles:
        """As a model source hands them out."""
        return ModelFiles(reference=str(self.path), path=self.path)


def write_safetensors(folder: Path) -> SampleCheckpoint:
    """A folder as hubs lay it out: config.json, two shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, SampleTensor] = {}
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(_SHARDS, 1):
        name = f"model-{number:05}-of-{len(_SHARDS):05}.safetensors"
        made = dict(_tensors(shard, number))
        words = {tensor: word for tensor, (word, _, _) in shard.items()}
        (folder / name).write_bytes(safetensors_bytes(words, made))
        tensors |= made
        weight_map |= dict.fromkeys(made, name)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return SampleCheckpoint(path=folder, tensors=tensors, config=_CONFIG)


def files_of_no_kind(folder: Path) -> Iterator[ModelFiles]:
    """An empty folder, one with a text, that text, and a path that leads nowhere."""
    empty, text = folder / "an empty folder", folder / "a folder with a text"
    for path in (empty, text):
        path.mkdir(exist_ok=True)
    (text / "README.txt").write_text("no model here")
    for path in (empty, text, text / "README.txt", folder / "nowhere"):
        yield ModelFiles(reference=str(path), path=path)


def _tensors(
    shard: Mapping[str, tuple[str, DType, tuple[int, ...]]], seed: int
) -> Iterator[tuple[str, SampleTensor]]:
    noise = random.Random(seed)
    for name, (_, dtype, shape) in shard.items():
        data = noise.randbytes(math.prod(shape) * dtype.itemsize)
        yield name, SampleTensor(dtype, shape, data)


def safetensors_bytes(words: Mapping[str, str], tensors: Mapping[str, SampleTensor]) -> bytes:
    """A file of tensors; `words` are what the format calls their element types ("F32")."""
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
