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


def test_a_description_comes_without_weights(source, hub):
    files = source.describe(reference())

    assert files.find("chat_template.jinja")
    assert not [path for path in hub.requests if path.endswith(".safetensors")]


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


GGUFS = {
    "config.json": b"{}",
    "x-Q4_K_M.gguf": b"GGUF four",
    "x-Q4_K_S.gguf": b"GGUF small",
    "x.q8_0.gguf": b"GGUF eight",
    "Q2_K/x-Q2_K-00001-of-00002.gguf": b"GGUF one",
    "Q2_K/x-Q2_K-00002-of-00002.gguf": b"GGUF two",
    "mmproj-x-Q4_K_M.gguf": b"GGUF image",
}


@pytest.fixture
def gguf_hub(hub, monkeypatch):
    monkeypatch.setattr("jackfield_testing.hub.FILES", GGUFS)
    return hub


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("acme/tiny:Q4_K_M", "x-Q4_K_M.gguf"),
        ("acme/tiny:q4_k_m", "x-Q4_K_M.gguf"),
        ("acme/tiny:Q8_0", "x.q8_0.gguf"),
        ("acme/tiny:Q2_K", "Q2_K/x-Q2_K-00001-of-00002.gguf"),
        ("https://huggingface.co/acme/tiny/blob/main/x-Q4_K_S.gguf", "x-Q4_K_S.gguf"),
    ],
)
def test_one_gguf_file_of_a_repository_is_picked_with_all_its_parts(source, gguf_hub, text, file):
    found = source.resolve(reference(text))

    assert found.path.as_posix().endswith(file)
    assert found.path.read_bytes() == GGUFS[file]
    fetched = {path.rpartition("/")[2] for path in gguf_hub.requests if "/resolve/" in path}
    same = {name for name in GGUFS if name.startswith(file.partition("-00001")[0])}
    assert fetched == {name.rpartition("/")[2] for name in same}


def test_a_repository_of_several_gguf_files_asks_which(source, gguf_hub):
    with pytest.raises(
        ModelNotFound, match=r"several GGUF files: .*x-Q4_K_M.gguf.*e.g. acme/tiny:Q4_K_M"
    ):
        source.resolve(reference("acme/tiny"))
    with pytest.raises(ModelNotFound, match=r"has no GGUF file 'IQ9'; it has .*x-Q4_K_M.gguf"):
        source.resolve(reference("acme/tiny:IQ9"))


def test_what_was_fetched_is_known_with_its_size(source, tmp_path):
    source.resolve(reference())

    (known,) = source.known(tmp_path)

    assert known.name == "acme/tiny"
    assert known.num_bytes > 0


def test_further_chat_templates_are_fetched(source, hub, monkeypatch):
    files = {**hub.files, "additional_chat_templates/rag.jinja": b"rag", "onnx/x.json": b"no"}
    monkeypatch.setattr("jackfield_testing.hub.FILES", files)

    folder = source.resolve(reference()).path

    assert (folder / "additional_chat_templates" / "rag.jinja").read_bytes() == b"rag"
    assert not (folder / "onnx").exists()
