"""Processes that fetch a model, and what they tell of it."""

import signal
from pathlib import Path

import pytest

from jackfield.activation import PluginRef
from jackfield.interfaces.model_source import ModelReference
from jackfield_testing.conformance.fetching import Fetch, contents, digests

pytestmark = pytest.mark.thorough

MODULE = "model_source_mutants"


@pytest.fixture
def fetch_of(monkeypatch, tmp_path):
    """A process that fetches the model `tiny` of the shelf."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    (tmp_path / "remote" / "tiny").mkdir(parents=True)
    (tmp_path / "remote" / "tiny" / "config.json").write_text("{}")
    (tmp_path / "cache").mkdir()
    reference = ModelReference(text="shelf:tiny", cache_folder=tmp_path / "cache")

    def make(name):
        source = PluginRef(
            kind="jackfield.model_sources", major=1, name="mine", distribution="acme", version="1.0",
            target=f"{MODULE}:{name}",
        )  # fmt: skip
        return Fetch(source, reference)

    return make


def test_a_process_tells_the_files_that_it_found(fetch_of):
    with fetch_of("Sound") as fetch:
        fetch.start()

        assert fetch.found().files == digests({"config.json": b"{}"})


def test_a_process_tells_what_changed_around_it(fetch_of):
    with fetch_of("SetsProxy") as fetch:
        fetch.start()

        assert fetch.found().changed == ["SHELF_PROXY"]


def test_a_source_that_cannot_be_loaded_is_told_in_its_own_words(fetch_of):
    with fetch_of("NoSuchSource") as fetch, pytest.raises(AssertionError, match="NoSuchSource"):
        fetch.start()


def test_a_fetch_that_fails_is_told_in_its_own_words(fetch_of, tmp_path):
    (tmp_path / "remote" / "tiny" / "cut").touch()

    with fetch_of("Sound") as fetch:
        fetch.start()

        with pytest.raises(AssertionError, match="tiny was cut off"):
            fetch.found()


@pytest.mark.parametrize(("pause_s", "was_stopped"), [(0.0, True), (1.5, False)])
def test_a_process_is_stopped_while_it_fetches_and_not_after(
    fetch_of, tmp_path, pause_s, was_stopped
):
    (tmp_path / "remote" / "tiny" / "slow").touch()

    with fetch_of("Sound") as fetch:
        assert fetch.stop(signal.SIGKILL, pause_s) == was_stopped


def test_files_of_a_model_are_named_by_their_paths_within_it(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")

    assert contents(tmp_path) == {"1_Pooling/config.json": b"{}"}


def test_a_single_file_is_named_by_its_name(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"weights")

    assert contents(tmp_path / "model.gguf") == {"model.gguf": b"weights"}
