"""A dummy checkpoint has a config and no tensors, and is never chosen by itself."""

import pytest

from jackfield.checkpoint.dummy import DummyFormat
from jackfield.errors import CheckpointError

FORMAT = DummyFormat()


def test_it_must_be_named():
    assert FORMAT.only_named


def test_it_has_a_config_and_says_that_its_tensors_are_made_up(folder):
    with FORMAT.open(folder.files) as checkpoint:
        assert checkpoint.config["hidden_size"] == 4
        assert checkpoint.is_synthetic
        assert not checkpoint.tensors


def test_reading_from_it_is_an_error(folder):
    with (
        FORMAT.open(folder.files) as checkpoint,
        pytest.raises(CheckpointError, match="dummy checkpoint has none"),
    ):
        checkpoint.read("x")


def test_a_folder_without_a_config_is_refused(folder):
    (folder.path / "config.json").unlink()

    assert [reason.code for reason in FORMAT.check(folder.files, {})] == ["no_config"]
