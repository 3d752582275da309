"""The command passes the kit of commands."""

import pytest

from jackfield_testing.conformance.command import CommandKit

pytestmark = pytest.mark.cpu_model


class TestQuantize(CommandKit):
    name = "quantize"
    good_calls = (
        ("model", "--scheme", "int8", "-o", "out"),
        ("model", "--scheme", "gptq", "-o", "other", "--group-size", "32", "--calibration", "text.txt", "--samples", "2",
         "--sample-length", "32"),
    )  # fmt: skip
    bad_calls = (
        (),
        ("model", "--scheme", "int8"),
        ("nowhere", "--scheme", "int8", "-o", "out"),
        ("model", "--scheme", "int8", "-o", "model"),
    )

    @pytest.fixture
    def folder(self, tmp_path, model_of, text):
        """Holds a model and a text."""
        (tmp_path / "model").symlink_to(model_of("llama"))
        (tmp_path / "text.txt").write_text(text.read_text())
        return tmp_path
