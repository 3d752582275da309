"""Model folders that tests write for themselves, and a hub on this machine."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jackfield.interfaces.model_source import ModelFiles

CONFIG = {"architectures": ["TinyForCausalLM"], "hidden_size": 4}


class Folder:
    """A folder of a model, and the files that are put into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> ModelFiles:
        return ModelFiles(reference=str(self.path), path=self.path)

    def add_json(self, name, value):
        return self.add(name, json.dumps(value))

    def add(self, name, text):
        target = self.path / name
        target.write_text(text, encoding="utf-8")
        return target


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "model")
    made.path.mkdir()
    made.add_json("config.json", CONFIG)
    return made


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
_KNOWN = tuple(f"{start}/acme/{name}" for start in ("/api/models", "") for name in ("tiny", "cut"))


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
        elif not path.startswith(_KNOWN):
            self.refuse(401, "RepoNotFound")
        elif "/tree/" in path:
            self.answer(json.dumps([self.file_entry(name) for name in FILES]).encode())
        elif path.startswith("/api/"):
            self.info(path.partition("/revision/")[2] or "main")
        else:
            _, _, commit, name = path.removeprefix("/acme/").split("/", 3)
            headers = {"ETag": self.etag(name), "X-Repo-Commit": commit}
            self.answer(FILES[name], headers, cut=path.startswith("/acme/cut"))

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

    def answer(self, body, headers=None, status=200, cut=False):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, *args):
        """Be silent."""


@pytest.fixture
def hub():
    """A small server that answers like a hub. Of `acme/cut` no file comes whole."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests, server.files, server.commits = [], FILES, COMMITS
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
