"""Writes small GGUF files, and has the conformance kits of GGUF with them. Needs pytest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from jackfield.dtypes import FLOAT16, FLOAT32, DType
from jackfield.interfaces.model_source import ModelFiles
from jackfield_gguf.byte_level import byte_characters
from jackfield_testing.conformance.samples import SampleCheckpoint, SampleTensor
from jackfield_testing.conformance.tokenizer import KnownIds, TokenizerKit
from jackfield_testing.conformance.weight_format import WeightFormatKit

HEADS = 4
LLAMA: Mapping[str, Any] = {
    "block_count": 2,
    "context_length": 64,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": HEADS,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 10000.0,
}
TOKENS = ("<s>", "</s>", "a", "b", "ab")
_Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
_TENSORS: Mapping[str, tuple[str, type, tuple[int, ...]]] = {
    "model.embed_tokens.weight": ("token_embd.weight", np.float32, (5, 32)),
    _Q_PROJ: ("blk.0.attn_q.weight", np.float32, (32, 32)),
    "model.layers.0.mlp.up_proj.weight": ("blk.0.ffn_up.weight", np.float16, (64, 32)),
    "model.norm.weight": ("output_norm.weight", np.float32, (32,)),
}
_DTYPES: Mapping[type, DType] = {np.float32: FLOAT32, np.float16: FLOAT16}
_MERGES = ("h e", "l l", "he ll", "t h", "Ġ Ġ")


class GgufMaker:
    """Writes one file with the package `gguf`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self,
        architecture: str = "llama",
        metadata: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Any] | None = None,
        other: Mapping[str, Any] | None = None,
        alignment: int | None = None,
    ) -> Path:
        """`metadata` is written under the architecture's name, `other` under full keys.

        `tensors` are float32 arrays, or (array, type) for arrays that are already quantised.
        """
        writer = gguf.GGUFWriter(self.path, architecture)
        if alignment:
            writer.add_custom_alignment(alignment)
        values = LLAMA if metadata is None else metadata
        for key, value in {f"{architecture}.{k}": v for k, v in values.items()}.items():
            _add_value(writer, key, value)
        for key, value in (other or {}).items():
            _add_value(writer, key, value)
        default = {"token_embd.weight": np.zeros((len(TOKENS), 32), np.float32)}
        for name, tensor in {**default, **(tensors or {})}.items():
            array, kind = tensor if isinstance(tensor, tuple) else (tensor, None)
            writer.add_tensor(name, array, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return self.path

    @property
    def files(self) -> ModelFiles:
        """The files, in the form of a model source."""
        return ModelFiles(reference=self.path.name, path=self.path)


class GgufFormatKit(WeightFormatKit):
    """The kit of weight formats on a small Llama."""

    name = "gguf"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> SampleCheckpoint:
        """Queries are stored as converters write them, so that the test shows whether this is undone."""
        noise = np.random.default_rng(0)
        made: dict[str, Any] = {
            name: noise.normal(size=shape).astype(dtype)
            for name, (_, dtype, shape) in _TENSORS.items()
        }
        stored = {**made, _Q_PROJ: in_pairs(made[_Q_PROJ])}
        path = GgufMaker(tmp_path / "model.gguf").write(
            tensors={_TENSORS[name][0]: array for name, array in stored.items()}
        )
        tensors = {
            name: SampleTensor(_DTYPES[_TENSORS[name][1]], array.shape, array.tobytes())
            for name, array in made.items()
        }
        config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 32}
        return SampleCheckpoint(path=path, tensors=tensors, config=config)

    @pytest.fixture
    def forms(self, sample: SampleCheckpoint, tmp_path: Path) -> Mapping[str, SampleCheckpoint]:
        """The same file in a folder with others."""
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "README.md").write_text("a model")
        shutil.copy(sample.path, folder)
        return {"folder": replace(sample, path=folder)}


class GgufTokenizerKit(TokenizerKit):
    """The kit of tokenizers on a small vocabulary of byte-level BPE."""

    name = "gguf"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> ModelFiles:
        """All bytes, a few merges and an end token."""
        maker = GgufMaker(tmp_path / "model.gguf")
        maker.write(other=byte_level_metadata())
        return maker.files

    @pytest.fixture
    def known(self) -> KnownIds:
        """Made by hand: ids of single bytes are their values, merges follow in order, then the end token."""
        hello, two_spaces = [258, 111, 32, 259], [97, 260, 32, 98]  # hell-o- -th, a-two spaces- -b
        return KnownIds(
            texts={"hello th": (hello, [261, *hello]), "a   b": (two_spaces, [261, *two_spaces])},
            end_token_ids=(261,),
        )


def in_pairs(weight: Any) -> Any:
    """Rows in the order of converters: the two halves of a head interleaved."""
    return weight.reshape(HEADS, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def byte_level_metadata() -> Mapping[str, Any]:
    """A tokenizer of all bytes, with a few merges and an end token."""
    words = [merge.replace(" ", "") for merge in _MERGES]
    tokens = [*byte_characters().values(), *words, "<|end|>"]
    values = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1] * (len(tokens) - 1) + [3],
        "merges": list(_MERGES),
        "bos_token_id": len(tokens) - 1,
        "eos_token_id": len(tokens) - 1,
        "add_bos_token": True,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()}


def _add_value(writer: Any, key: str, value: Any) -> None:
    """Floats and ints are written with 32 bits, as converters do; (value, type) gives another type."""
    if isinstance(value, tuple):
        writer.add_key_value(key, *value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
