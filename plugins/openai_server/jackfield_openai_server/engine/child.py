"""The process of the engine: threads that step and make text, one that reads requests, one that writes what came."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from queue import Empty, SimpleQueue

import msgspec

from jackfield.cli.settings import load_from_words
from jackfield.client.engine_thread import EngineThread
from jackfield.discovery.kinds import TOKENIZERS
from jackfield.engine.deltas import Delta, OpenRequest
from jackfield.engine.engine import Engine
from jackfield.errors import EngineError, JackfieldError
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import Blueprint, make_blueprint
from jackfield_openai_server.engine.following import read
from jackfield_openai_server.engine.messages import (
    Abort,
    Failed,
    Figures,
    FrameBuffer,
    Moved,
    Open,
    Opened,
    Refusal,
    Submit,
    ToEngine,
    ToServer,
    frame,
)

_FIGURES_S = 0.5  # between two messages with figures
_READ_BYTES = 1 << 18
_END_S = 10.0  # for the running step to end, once the server has gone


def main() -> None:
    """Serve through the socket whose number is the first argument, until the server closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the server drains, then closes
    connection = socket.socket(fileno=int(sys.argv[1]))
    messages: SimpleQueue[ToServer | None] = SimpleQueue()
    commands: SimpleQueue[ToEngine | BaseException | None] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, commands), daemon=True).start()
    writer = threading.Thread(target=_write, args=(connection, messages), daemon=True)
    writer.start()
    try:
        opening = commands.get()
        if isinstance(opening, Open):
            _serve(opening, commands, messages.put)
    except BaseException as error:
        messages.put(_failure(error))
    messages.put(None)
    writer.join(_END_S)


def _serve(
    opening: Open,
    commands: SimpleQueue[ToEngine | BaseException | None],
    send: Callable[[ToServer], None],
) -> None:
    blueprint = make_blueprint(load_from_words(opening.words))
    with Engine(blueprint) as engine:
        send(_opened(blueprint, engine))
        EngineServer(engine, commands, send).run()


class EngineServer:
    """Obeys the server while the engine steps on another thread; what moves goes out from the thread that makes text."""

    def __init__(
        self,
        engine: Engine,
        commands: SimpleQueue[ToEngine | BaseException | None],
        send: Callable[[ToServer], None],
    ) -> None:
        self._engine = engine
        self._thread = EngineThread(engine)
        self._commands = commands
        self.send = send
        self._open: dict[int, Asked] = {}

    def run(self) -> None:
        """Until the server closes the connection. Raises what ends the engine."""
        try:
            self._tell_figures()
            while (command := self._next()) is not None:
                if isinstance(command, Submit):
                    self._add(command)
                elif isinstance(command, Abort):
                    self._abort(command.id)
                elif isinstance(command, BaseException):
                    raise command
        finally:
            self._thread.close()

    def end(self, error: BaseException) -> None:
        """The engine has ended; called by another thread."""
        self._commands.put(error)

    def forget(self, request_id: int) -> None:
        """A request that has ended; called by another thread."""
        self._open.pop(request_id, None)

    def _next(self) -> ToEngine | BaseException | None:
        """The next command; figures are told meanwhile, while there is work."""
        while True:
            try:
                return self._commands.get(
                    timeout=_FIGURES_S if self._engine.has_unfinished else None
                )
            except Empty:
                self._tell_figures()

    def _add(self, submit: Submit) -> None:
        asked = Asked(submit.id, self)
        try:
            request = self._engine.input.process(
                submit.prompt,
                SamplingParams.from_mapping(submit.sampling),
                request_id=str(submit.id),
                priority=submit.priority,
                cache_salt=submit.cache_salt,
            )
        except Exception as error:  # of this request alone
            asked.fail(error)
            return
        self._open[submit.id] = asked
        self._thread.add(request, asked, stream=submit.stream)

    def _abort(self, request_id: int) -> None:
        asked = self._open.pop(request_id, None)
        if asked is not None:
            asked.is_left = True
            if asked.request is not None:
                self._thread.withdraw(asked.request)

    def _tell_figures(self) -> None:
        stats = self._engine.stats
        scheduler = stats.scheduler
        self.send(
            Figures(
                num_steps=stats.num_steps,
                num_tokens=stats.num_tokens,
                num_running=scheduler.num_running,
                num_waiting=scheduler.num_waiting,
                num_preemptions=scheduler.num_preemptions,
                cache_usage=scheduler.cache_usage,
                num_prompt_tokens=scheduler.num_prompt_tokens,
                num_cached_tokens=scheduler.num_cached_tokens,
            )
        )


class Asked:
    """The receiver of one request's deltas; those of all requests go out in one message a step."""

    __slots__ = ("home", "id", "is_left", "request")

    def __init__(self, request_id: int, server: EngineServer) -> None:
        self.id = request_id
        self.home = server
        self.is_left = False  # nobody waits for it
        self.request: OpenRequest | None = None

    def taken(self, request: OpenRequest) -> None:
        """The engine has it."""
        self.request = request
        if self.is_left:
            self.home._thread.withdraw(request)

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        """Tell the server what moved."""
        self.home.send(Moved(*read(deltas), []))
        for delta in deltas:
            if delta.is_last:
                self.home.forget(int(delta.request.request_id))
        return True

    def fail(self, error: BaseException) -> None:
        """Refuse the request, or end all where the engine has ended."""
        self.home.forget(self.id)
        if isinstance(error, EngineError):
            self.home.end(error)
        else:
            text = str(error) if isinstance(error, JackfieldError) else repr(error)
            self.home.send(Moved([], [], [Refusal(self.id, type(error).__name__, text)]))


def _read(
    connection: socket.socket, commands: SimpleQueue[ToEngine | BaseException | None]
) -> None:
    """Pass on what the server says. When it has gone this process ends, whatever it is doing."""
    decoder = msgspec.msgpack.Decoder(ToEngine)
    frames = FrameBuffer()
    while data := _received(connection):
        for body in frames.push(data):
            commands.put(decoder.decode(body))
    commands.put(None)
    time.sleep(_END_S)
    os._exit(1)  # a step hangs, or the engine is still being made


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_READ_BYTES)
    except OSError:
        return b""


def _write(connection: socket.socket, messages: SimpleQueue[ToServer | None]) -> None:
    """Encode here, so that the thread that steps does not."""
    while (message := messages.get()) is not None:
        try:
            connection.sendall(frame(message))
        except OSError:
            return  # the server has gone; the reader sees it too


def _opened(blueprint: Blueprint, engine: Engine) -> Opened:
    config, files = blueprint.config, blueprint.tokenizer_files
    assert config.model.max_length is not None, "a blueprint's config has its length resolved"
    plugin = blueprint.plugin(TOKENIZERS) if blueprint.has_tokenizer else None
    return Opened(
        model=config.model.reference,
        path=str(blueprint.files.path),
        tokenizer_reference=files.reference,
        tokenizer_path=str(files.path),
        tokenizer_plugin=None if plugin is None else asdict(plugin),
        missing_tokenizer=blueprint.model.missing_tokenizer,
        architecture=blueprint.spec.architecture,
        vocab_size=engine.vocab_size,
        max_length=config.model.max_length,
        num_blocks=list(engine.num_blocks),
        block_size=config.cache.block_size,
        explanation=msgspec.to_builtins(engine.explanation(), enc_hook=str),
    )


def _failure(error: BaseException) -> Failed:
    if isinstance(error, JackfieldError):
        return Failed(type(error).__name__, str(error))
    return Failed(type(error).__name__, "".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()
