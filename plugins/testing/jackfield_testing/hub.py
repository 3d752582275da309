"""A small server on this machine that answers as a model hub does, for the model source `hub` and its kit."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMITS: Mapping[str, str] = {"main": "a" * 40, "v2": "b" * 40}
FILES: Mapping[str, bytes] = {
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
OF_V2: Mapping[str, bytes] = {"config.json": b'{"architectures": ["TinyV2ForCausalLM"]}'}
_NAMES = ("tiny", "cut", "slow")
_KNOWN = tuple(f"{start}/acme/{name}" for start in ("/api/models", "") for name in _NAMES)
_PAUSE_S = 0.6  # in the middle of each file of acme/slow


class HubServer(ThreadingHTTPServer):
    """Has the models `acme/tiny`, an equal one `acme/slow`, and `acme/cut`, none of whose files arrives whole."""

    files = FILES
    commits = COMMITS

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []  # paths of the requests


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A server that runs until the context ends."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """The endpoints that fetching a snapshot needs."""

    server: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append(path)
        if path.startswith("/api/models/acme/gated"):
            self._refuse(403, "GatedRepo")
        elif path.startswith("/api/models/acme/broken"):
            self._refuse(500, "")
        elif not path.startswith(_KNOWN):
            self._refuse(401, "RepoNotFound")
        elif "/tree/" in path:
            commit = path.rpartition("/tree/")[2]
            self._answer(json.dumps([_file_entry(name, commit) for name in FILES]).encode())
        elif path.startswith("/api/"):
            self._info(path.partition("/revision/")[2] or "main")
        else:
            _, _, commit, name = path.removeprefix("/acme/").split("/", 3)
            headers = {"ETag": _etag(name, commit), "X-Repo-Commit": commit}
            model = path.split("/")[2]
            self._answer(_content(name, commit), headers, model=model)

    def _info(self, revision: str) -> None:
        if revision not in COMMITS:
            self._refuse(404, "RevisionNotFound")
            return
        siblings = [{"rfilename": name} for name in FILES]
        value = {"id": "acme/tiny", "sha": COMMITS[revision], "siblings": siblings}
        self._answer(json.dumps(value).encode())

    def _refuse(self, status: int, code: str) -> None:
        self._answer(b"{}", {"X-Error-Code": code} if code else {}, status)

    def _answer(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
        model: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "GET":
            return
        middle = len(body) // 2
        self.wfile.write(body[:middle])
        if model == "slow":
            threading.Event().wait(_PAUSE_S)  # the kit makes time.sleep return at once
        if model != "cut":
            self.wfile.write(body[middle:])

    def log_message(self, *args: Any) -> None:
        """Be silent."""


def _content(name: str, commit: str) -> bytes:
    return OF_V2.get(name, FILES[name]) if commit == COMMITS["v2"] else FILES[name]


def _file_entry(name: str, commit: str) -> dict[str, Any]:
    size = len(_content(name, commit))
    return {"type": "file", "path": name, "size": size, "oid": _etag(name, commit)}


def _etag(name: str, commit: str) -> str:
    return hashlib.sha1(_content(name, commit)).hexdigest()
