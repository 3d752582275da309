"""Paths on this machine are taken, other words are left to other sources."""

import pytest

from jackfield.checkpoint.local import LocalSource
from jackfield.errors import ModelNotFound
from jackfield.interfaces.model_source import ModelReference

SOURCE = LocalSource()


def reference(text):
    return ModelReference(text=str(text))


def test_an_existing_folder_is_found_where_it_is(folder):
    assert SOURCE.check(reference(folder.path), {}) == ()
    assert SOURCE.resolve(reference(folder.path)).path == folder.path


def test_an_existing_file_is_found_where_it_is(folder):
    file = folder.add("model.gguf", "")

    assert SOURCE.resolve(reference(file)).path == file


def test_a_word_in_the_current_folder_is_found(folder, monkeypatch):
    monkeypatch.chdir(folder.path.parent)

    assert SOURCE.check(reference("model"), {}) == ()


def test_a_revision_of_what_is_on_this_machine_is_an_error(folder):
    asked = ModelReference(text=str(folder.path), revision="main")

    with pytest.raises(ModelNotFound, match=r"model\.revision"):
        SOURCE.resolve(asked)


def test_the_home_folder_is_understood(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.path.parent))

    assert SOURCE.resolve(reference("~/model")).path == folder.path


@pytest.mark.parametrize("text", ["smollm2", "pypi:name==1.0", "org/name"])
def test_a_word_that_is_no_path_is_left_to_other_sources(text):
    [reason] = SOURCE.check(reference(text), {})

    assert reason.code == "not_a_path"


@pytest.mark.parametrize("text", ["./nowhere", "/no/where", "~/nowhere", "nowhere.gguf"])
def test_what_is_written_as_a_path_is_taken_so_that_its_error_is_about_paths(text):
    assert SOURCE.check(reference(text), {}) == ()
    with pytest.raises(ModelNotFound, match="there is no folder or file"):
        SOURCE.resolve(reference(text))


@pytest.mark.parametrize(
    "text", ["~no-such-user-here/model", "./" + "x" * 5000], ids=["user", "long"]
)
def test_what_no_file_can_be_called_is_not_found(text):
    with pytest.raises(ModelNotFound):
        LocalSource().resolve(ModelReference(text=text))
