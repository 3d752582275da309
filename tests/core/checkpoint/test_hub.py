"""Hub names, against a small server that answers like a hub."""

import socket

import pytest

from jackfield.checkpoint.hub import HubSource
from jackfield.errors import ModelNotFound
from jackfield.interfaces.model_source import ModelReference
from jackfield_testing.hub import OF_V2

WANTED = {
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "chat_template.jinja",
}  # fmt: skip


@pytest.fixture
def source(hub, tmp_path):
    return HubSource(f"http://127.0.0.1:{hub.server_port}", tmp_path)


def reference(name="acme/tiny", revision=None):
    return ModelReference(text=name, revision=revision)


def test_the_files_that_are_needed_are_downloaded_and_no_others(source, hub):
    files = source.resolve(reference())

    found = {path.name: path.read_bytes() for path in files.path.iterdir()}
    assert found == {name: hub.files[name] for name in WANTED}
    assert files.reference == "acme/tiny"


def test_a_second_call_downloads_no_file_again(source, hub):
    source.resolve(reference())
    hub.requests.clear()

    source.resolve(reference())

    assert [path for path in hub.requests if "/resolve/" in path] == []


def test_a_revision_brings_its_own_files(source):
    files = source.resolve(reference(revision="v2"))

    assert (files.path / "config.json").read_bytes() == OF_V2["config.json"]


def test_a_revision_is_taken_by_its_name(source, hub):
    assert source.resolve(reference(revision="v2")).path.name == hub.commits["v2"]


def test_without_a_network_the_cache_is_used(source, tmp_path):
    first = source.resolve(reference()).path

    again = HubSource(unreachable(), tmp_path).resolve(reference()).path

    assert again == first


def unreachable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_without_a_network_and_a_cache_the_error_tells_what_to_check(tmp_path):
    with pytest.raises(ModelNotFound, match="Check the network, HF_ENDPOINT"):
        HubSource(unreachable(), tmp_path).resolve(reference())


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("acme/nothing", None, "the hub has no model 'acme/nothing'"),
        ("acme/gated", None, "'acme/gated' is gated"),
        ("acme/tiny", "v9", "but not the revision 'v9'"),
        ("acme/broken", None, "cannot get the model 'acme/broken'"),
    ],
)
def test_a_refusal_is_explained(source, name, revision, message):
    with pytest.raises(ModelNotFound, match=message):
        source.resolve(reference(name, revision))


@pytest.mark.parametrize("text", ["acme/tiny", "HuggingFaceTB/SmolLM2-135M-Instruct", "a/b.c_d-1"])
def test_a_name_with_an_owner_is_taken(source, text):
    assert source.check(reference(text), {}) == ()


@pytest.mark.parametrize("text", ["smollm2", "pypi:a==1", "./a/b", "/a/b", "a/b/c", "a/", "a b/c"])
def test_other_words_are_left_to_other_sources(source, text):
    assert [reason.code for reason in source.check(reference(text), {})] == ["no_hub_name"]
