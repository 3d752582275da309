"""Hub names, against a small server that answers like a hub."""

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from jackfield.checkpoint.hub import HubSource
from jackfield.errors import ModelNotFound
from jackfield.interfaces.model_source import ModelReference

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
FILES = {
    "config.json": b'{"architectures": ["TinyForCausalLM"]}',
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "tokenizer.model": b"pieces",
    "chat_template.jinja": b"hello",
    "README.md": b"not wanted",
    "pytorch_model.bin": b"not wanted",
    "consolidated.safetensors": b"not wanted",
    "onnx/config.json": b"not wanted",
}
WANTED = {
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "chat_template.jinja",
}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """The endpoints that a snapshot needs. `requests` on the server counts what was asked."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.requests.append(path)
        if path.startswith("/api/models/acme/gated"):
            self.refuse(403, "GatedRepo")
        elif path.startswith("/api/models/acme/broken"):
            self.refuse(500, "")
        elif not path.startswith(("/api/models/acme/tiny", "/acme/tiny")):
            self.refuse(401, "RepoNotFound")
        elif "/tree/" in path:
            self.answer(json.dumps([self.file_entry(name) for name in FILES]).encode())
        elif path.startswith("/api/"):
            self.info(path.partition("/revision/")[2] or "main")
        else:
            _, _, commit, name = path.removeprefix("/acme/").split("/", 3)
            self.answer(FILES[name], {"ETag": self.etag(name), "X-Repo-Commit": commit})

    def info(self, revision):
        if revision not in COMMITS:
            self.refuse(404, "RevisionNotFound")
            return
        siblings = [{"rfilename": name} for name in FILES]
        value = {"id": "acme/tiny", "sha": COMMITS[revision], "siblings": siblings}
        self.answer(json.dumps(value).encode())

    def file_entry(self, name):
        return {"type": "file", "path": name, "size": len(FILES[name]), "oid": self.etag(name)}

    def etag(self, name):
        return hashlib.sha1(FILES[name]).hexdigest()

    def refuse(self, status, code):
        self.answer(b"{}", {"X-Error-Code": code} if code else {}, status)

    def answer(self, body, headers=None, status=200):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        """Be silent."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def source(hub, tmp_path):
    return HubSource(f"http://127.0.0.1:{hub.server_port}", tmp_path)


def reference(name="acme/tiny", revision=None):
    return ModelReference(text=name, revision=revision)


def test_the_files_that_are_needed_are_downloaded_and_no_others(source):
    files = source.resolve(reference())

    found = {path.name: path.read_bytes() for path in files.path.iterdir()}
    assert found == {name: FILES[name] for name in WANTED}
    assert files.reference == "acme/tiny"


def test_a_second_call_downloads_no_file_again(source, hub):
    source.resolve(reference())
    hub.requests.clear()

    source.resolve(reference())

    assert [path for path in hub.requests if "/resolve/" in path] == []


def test_a_revision_is_taken_by_its_name(source):
    assert source.resolve(reference(revision="v2")).path.name == COMMITS["v2"]


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
