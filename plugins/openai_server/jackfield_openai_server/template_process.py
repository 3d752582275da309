"""Renders chat templates that clients send: in a process of its own, which may take only so much memory and time.

A template is a program. Jinja's sandbox keeps it from everything around it, but not from `9 ** (9 ** 9)`, which no other thread
can interrupt, nor from a text that doubles until the machine has no memory left.
"""

from __future__ import annotations

import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from jackfield.activation import PluginRef
from jackfield.discovery.loading import FAULTS, load_target
from jackfield.errors import EngineError, RequestError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield_openai_server.engine.messages import Chosen, FrameBuffer, framed
from jackfield_openai_server.engine.spawn import Child, spawn

_PROGRAM = "jackfield_openai_server.template_process"
_START_S = 60.0  # for the child to open the tokenizer
_MEMORY = 512 << 20  # bytes that the child may take beside what it has when it is ready
_STATM = Path("/proc/self/statm")  # of Linux
_MOST_CHARACTERS = 32 << 20  # of a text; longer than any prompt
_MOST_OF_ERROR = 2000  # characters
_READ_BYTES = 1 << 18
_STOPPED = "the model is unloaded, or the server ends"


class Conversation(msgspec.Struct, array_like=True):
    """To the child: what to render."""

    messages: Sequence[Mapping[str, Any]]
    values: dict[str, Any]
    limit_s: float


class Rendered(msgspec.Struct, array_like=True):
    """To the server: the text, or why there is none."""

    text: str = ""
    error: str = ""


class TemplateProcess:
    """The child, which is started when it is first needed, and again after a template that had to be killed. Use it on
    one thread, but for `stop`.
    """

    def __init__(self, chosen: Chosen, limit_s: float) -> None:
        self._chosen = chosen
        self._limit_s = limit_s
        self._child: Child | None = None
        self._is_stopped = False
        self._lock = threading.Lock()  # held where a child is started, or all of them are ended
        self._decode = msgspec.msgpack.Decoder(Rendered).decode

    def render(self, messages: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> str:
        """The prompt of a conversation. Raises RequestError; EngineError if there can be no child."""
        if self._child is not None and self._child.process.poll() is not None:
            self.close()  # it was killed while it had nothing to do
        if self._child is None:
            self._start()
        asked = Conversation(messages, values, self._limit_s)
        try:
            found = self._ask(asked, self._limit_s)
        except TimeoutError:
            raise RequestError(
                f"the chat template takes longer than {self._limit_s:g} s (options.serve.template_timeout_s)"
            ) from None
        except OSError:
            if self._is_stopped:
                raise EngineError(_STOPPED) from None
            raise RequestError(
                "the chat template needs too much memory, or ended its process"
            ) from None
        if found.error:
            raise RequestError(found.error)
        return found.text

    def close(self) -> None:
        """End the child, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            child.connection.close()
            child.process.kill()
            child.process.wait()

    def stop(self) -> None:
        """Kill the child, so that `render` ends, and start no other. Any thread may call this; `close` is still needed."""
        with self._lock:
            self._is_stopped = True
            if (child := self._child) is not None:
                child.process.kill()

    def _start(self) -> None:
        """Raises EngineError."""
        try:
            with self._lock:
                if self._is_stopped:
                    raise EngineError(_STOPPED)
                self._child = spawn(_PROGRAM)
            self._ask(self._chosen, _START_S)
        except OSError as error:
            why = str(error) or "it ended; the server's log says why"
            raise EngineError(
                f"the process for chat templates of clients could not start: {why}"
            ) from None

    def _ask(self, message: msgspec.Struct, limit_s: float) -> Rendered:
        """The child's answer. Ends the child and raises OSError if there is none; TimeoutError if it takes too long."""
        assert self._child is not None, "it was started"
        connection = self._child.connection
        connection.settimeout(limit_s)
        try:
            connection.sendall(framed(message))
            for body in _bodies(connection):
                return self._decode(body)
        except OSError:
            self.close()
            raise
        self.close()
        raise ConnectionResetError


def open_tokenizer(chosen: Chosen) -> Tokenizer | None:
    """The tokenizer that an engine chose; None if there is none."""
    if chosen.tokenizer_plugin is None:
        return None
    card: TokenizerFormat = load_target(PluginRef(**chosen.tokenizer_plugin))
    return card.open(
        ModelFiles(reference=chosen.tokenizer_reference, path=Path(chosen.tokenizer_path))
    )


def _bodies(connection: socket.socket) -> Iterator[bytes]:
    """The messages that come, until the other side closes the connection. Raises OSError."""
    frames = FrameBuffer()
    while data := connection.recv(_READ_BYTES):
        yield from frames.push(data)


# The child


def main() -> None:
    """Render what comes through the socket whose number is the first argument, until the server closes it."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    bodies = _bodies(connection)
    chosen = msgspec.msgpack.decode(next(bodies), type=Chosen)
    tokenizer = open_tokenizer(chosen)
    assert tokenizer is not None, "the server asks only with a tokenizer"
    with suppress(RequestError):  # Jinja is imported before memory is limited
        tokenizer.apply_chat_template([{"role": "user", "content": ""}], chat_template="{{ 1 }}")
    _limit_memory()
    connection.sendall(framed(Rendered()))
    decode = msgspec.msgpack.Decoder(Conversation).decode
    for body in bodies:
        connection.sendall(_rendered(tokenizer, decode(body)))


def _rendered(tokenizer: Tokenizer, asked: Conversation) -> bytes:
    """The message with the text, or with what is wrong."""
    signal.setitimer(
        signal.ITIMER_REAL, asked.limit_s + 1
    )  # ends this process if the server is gone
    try:
        text = tokenizer.apply_chat_template(asked.messages, **asked.values)
        if len(text) > _MOST_CHARACTERS:
            return _refused(f"the chat template makes a text of {len(text)} characters")
        return framed(Rendered(text))
    except RequestError as error:
        return _refused(str(error))
    except FAULTS as error:
        why = str(error)[:_MOST_OF_ERROR]
        return _refused(f"the chat template fails: {type(error).__name__}: {why}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _refused(why: str) -> bytes:
    sendable = why[:_MOST_OF_ERROR].encode(errors="backslashreplace").decode()  # surrogates are not
    return framed(Rendered(error=sendable))


def _limit_memory() -> None:
    """Limit what this process may take from now on; on Linux alone, where its size is known and the limit works."""
    if not _STATM.exists():
        return
    size = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, size + _MEMORY))
