"""A chat with a model on a server with OpenAI's API. Needs only the standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any

from jackfield.cli.conversation import Conversation
from jackfield.environment import client_api_key
from jackfield.errors import ConfigError, RequestError

_CONNECT_S = 600.0  # also the longest time between two pieces of an answer
_NAMES = {"include_stop": "include_stop_str_in_output"}  # fields that servers name differently


class RemoteModel:
    """One model of a server. The key is $JACKFIELD_API_KEY or $OPENAI_API_KEY."""

    def __init__(self, url: str, model: str | None, sampling: Mapping[str, Any]) -> None:
        """Raises ConfigError if no server answers. If `model` is None, the first listed model is taken."""
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1"
        self.notes: list[str] = []  # how the last answer ended
        self._fields = {_NAMES.get(name, name): value for name, value in sampling.items()}
        try:
            self._name = model or self._first_model()
        except (RequestError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(f"no model could be found at {self._url}/models: {error}") from None

    def answer(self, conversation: Conversation) -> Generator[str, None, None]:
        """Pieces of the answer. Closing the generator withdraws the request. Raises RequestError."""
        self.notes = []
        messages = conversation.messages
        body = {"model": self._name, "messages": messages, "stream": True, **self._fields}
        with self._open("/chat/completions", json.dumps(body).encode()) as answer:
            for line in _lines(answer):
                if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                    chunk = json.loads(line[5:])
                    yield from _texts(chunk)
                    if any(c.get("finish_reason") == "length" for c in chunk.get("choices") or ()):
                        self.notes = ["[cut off: raise --max-tokens, or the server's limit]"]

    def _first_model(self) -> str:
        with self._open("/models", None) as answer:
            return str(json.load(answer)["data"][0]["id"])

    def _open(self, path: str, body: bytes | None) -> HTTPResponse:
        headers = {"content-type": "application/json"}
        if key := client_api_key():
            headers["authorization"] = f"Bearer {key}"
        try:
            request = urllib.request.Request(self._url + path, body, headers)
            found: HTTPResponse = urllib.request.urlopen(request, timeout=_CONNECT_S)
        except urllib.error.HTTPError as error:
            with error:
                raise RequestError(f"{error.code}: {_message(error.read())}") from None
        except (OSError, ValueError, HTTPException) as error:
            raise RequestError(f"{self._url} cannot be asked: {error}") from None
        return found


def _lines(answer: HTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer
    except (OSError, HTTPException) as error:
        raise RequestError(f"the connection ended before the answer did: {error}") from None


def _texts(chunk: Mapping[str, Any]) -> Iterator[str]:
    if "error" in chunk:
        raise RequestError(str(chunk["error"].get("message", chunk["error"])))
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        for name in ("reasoning_content", "content"):
            if text := delta.get(name):
                yield text


def _message(body: bytes) -> str:
    """The message of an error in OpenAI's form, otherwise the body."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace")[:300]
