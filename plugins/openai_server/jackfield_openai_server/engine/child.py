"""The program of the engine's process: one thread steps, one reads requests, one writes results."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from typing import TypeAlias

import msgspec

from jackfield.cli.settings import load_from_words
from jackfield.client.text_thread import TextThread
from jackfield.discovery.kinds import TOKENIZERS
from jackfield.engine.deltas import Delta as EngineDelta
from jackfield.engine.deltas import OpenOutput, OpenRequest
from jackfield.engine.engine import Engine
from jackfield.errors import EngineClosedError, JackfieldError, RequestError
from jackfield.pooling import PoolingParams
from jackfield.request import EngineRequest, FinishReason
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import Blueprint, make_blueprint
from jackfield_openai_server.engine.messages import (
    Abort,
    Adapt,
    Adapted,
    Begin,
    Chosen,
    Delta,
    Failed,
    Figures,
    FrameBuffer,
    Look,
    Moved,
    Open,
    Opened,
    Refusal,
    Stop,
    Submit,
    ToEngine,
    ToServer,
    frame,
)
from jackfield_openai_server.engine.wire import begin_of, wire_delta

Command: TypeAlias = "ToEngine | Prepared"
_FIGURES_S = 0.5  # time between two messages with figures
_READ_BYTES = 1 << 18
_END_S = 10.0  # for the running step to end after the server has ended


def main() -> None:
    """Serve through the socket whose number is the first argument, until the server closes it."""
    # Ctrl-C in a terminal; the server drains, then closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    messages: SimpleQueue[ToServer | None] = SimpleQueue()
    commands: SimpleQueue[Command | None] = SimpleQueue()
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
    opening: Open, commands: SimpleQueue[Command | None], send: Callable[[ToServer], None]
) -> None:
    blueprint = make_blueprint(load_from_words(opening.words))
    send(_chosen(blueprint))
    with Engine(blueprint) as engine:
        send(_opened(blueprint, engine))
        gc.collect()
        gc.freeze()  # long-lived objects are not collected again
        EngineLoop(engine, commands, send).run()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready for the engine, or why it is refused.

    The error itself is not kept: its frames hold the request, and each other, until the garbage collector comes by.
    """

    submit: Submit
    request: EngineRequest | None = None
    refusal: Refusal | None = None


class EngineLoop:
    """Steps while there is work. Requests are added and withdrawn between steps. The server makes the text."""

    def __init__(
        self,
        engine: Engine,
        commands: SimpleQueue[Command | None],
        send: Callable[[ToServer], None],
    ) -> None:
        self._engine = engine
        self._commands = commands
        self._send = send
        self._open: dict[int, OpenRequest] = {}
        self._untold: set[int] = set()  # requests without a token so far
        # Ids of the requests of outputs that need no message but their tokens.
        self._plain: dict[OpenOutput, int] = {}
        self._refused: list[Refusal] = []
        # Grammars are compiled on these threads. The numbers are the ids of requests that wait for their grammars.
        self._compiling = ThreadPoolExecutor(2, "jackfield-compile")
        self._uncompiled: set[int] = set()
        self._is_ending = False
        self._figures_s = 0.0  # when figures were last sent
        # Observers of ended requests get their text. Without observers, this process makes no text.
        wants_text = engine.observers.wants_requests
        self._text = TextThread(engine.text_maker(_finish_nothing)) if wants_text else None

    def run(self) -> None:
        """Run until the server closes the connection. Raises the error that ends the engine."""
        try:
            self._run()
        finally:
            if self._text is not None:
                self._text.end(EngineClosedError("the server has ended"))

    def _run(self) -> None:
        engine = self._engine
        while True:
            is_idle = not engine.has_unfinished and not engine.num_in_flight
            if is_idle:
                self._tell_figures(time.monotonic())
            self._obey(wait=is_idle)
            if self._is_ending:
                return
            deltas = engine.step()
            if deltas or self._refused:
                self._tell(deltas)
            now_s = time.monotonic()
            if now_s - self._figures_s > _FIGURES_S:
                self._tell_figures(now_s)

    def _tell(self, deltas: Sequence[EngineDelta]) -> None:
        """Send the results of a step. Another thread encodes them."""
        begun: list[Begin] = []
        if self._untold:
            for delta in deltas:
                request_id = int(delta.request.request_id)
                if request_id in self._untold:
                    self._untold.discard(request_id)
                    begun.append(begin_of(request_id, delta))
        others: list[Delta] = []
        tokens: list[int] = []
        plain = self._plain
        for delta in deltas:
            output, start = delta.output, delta.start
            if delta.ending is not None:
                plain.pop(output, None)
                if delta.request.num_open == 0:
                    self._open.pop(int(delta.request.request_id), None)
            elif delta.stop - start == 1 and (number := plain.get(output)) is not None:
                tokens += number, output.token_ids[start]
                continue
            others.append(wire_delta(delta))
        refused, self._refused = self._refused, []
        self._send(Moved(others, begun, refused, tokens))
        self._show(deltas)

    def _show(self, deltas: Sequence[EngineDelta]) -> None:
        """Let observers know what has ended. Its text is made at once; that of a request with stop strings after each
        step, because a stop string ends it without a delta.
        """
        if self._text is None:
            return
        shown = []
        for delta in deltas:
            if delta.request.request.sampling.stop:
                shown.append(delta)
            elif delta.ending is not None:
                delta.start = delta.output.num_prompt_tokens
                shown.append(delta)
        if shown:
            self._text.put(shown)

    def _obey(self, *, wait: bool) -> None:
        """Carry out all commands that have come. If `wait` and there is none, wait for one."""
        commands = self._commands
        if wait:
            self._do(commands.get())
        while not commands.empty():
            self._do(commands.get())

    def _do(self, command: Command | None) -> None:
        if isinstance(command, Submit):
            if command.sampling.get("structured") is None:
                self._add(self._prepared(command))
            else:
                self._uncompiled.add(command.id)
                work = self._compiling.submit(self._prepared, command)
                work.add_done_callback(lambda done: self._commands.put(done.result()))
        elif isinstance(command, Prepared):
            if command.submit.id in self._uncompiled:
                self._uncompiled.discard(command.submit.id)
                self._add(command)
        elif isinstance(command, Abort):
            self._forget(command.id)
            self._untold.discard(command.id)
            self._uncompiled.discard(command.id)
            self._show(self._engine.abort(str(command.id)))
        elif isinstance(command, Stop):
            self._stop(command)
        elif isinstance(command, Adapt):
            self._send(self._adapt(command))
        elif isinstance(command, Look):
            self._tell_figures(time.monotonic(), with_maps=True)
        else:
            self._is_ending = True

    def _adapt(self, asked: Adapt) -> Adapted:
        try:
            if asked.path:
                self._engine.load_adapter(asked.name, asked.path)
            else:
                self._engine.unload_adapter(asked.name)
        except RequestError as error:
            return Adapted(type(error).__name__, str(error))
        return Adapted()

    def _stop(self, stop: Stop) -> None:
        request = self._open.get(stop.id)
        if request is not None:
            self._engine.finish(request.outputs[stop.index], FinishReason.STOP, stop.text)
            if request.num_open == 0:
                self._forget(stop.id)

    def _forget(self, request_id: int) -> None:
        request = self._open.pop(request_id, None)
        if request is not None:
            self._plain.pop(request.outputs[0], None)

    def _prepared(self, submit: Submit) -> Prepared:
        """The checked request, or its error. May run on any thread."""
        try:
            request = self._request_of(submit)
        except Exception as error:  # an error of this request only
            return Prepared(submit, refusal=_refusal(submit, error))
        return Prepared(submit, request)

    def _request_of(self, submit: Submit) -> EngineRequest:
        make = self._engine.input
        if submit.pooling is not None:
            return make.pool(
                submit.prompt,
                PoolingParams.from_mapping(submit.pooling),
                second_text=submit.second_text,
                request_id=str(submit.id),
                priority=submit.priority,
                cache_salt=submit.cache_salt,
            )
        return make.process(
            submit.prompt,
            SamplingParams.from_mapping(submit.sampling),
            request_id=str(submit.id),
            priority=submit.priority,
            cache_salt=submit.cache_salt,
            trace_parent=submit.trace_parent,
        )

    def _add(self, prepared: Prepared) -> None:
        submit, refusal = prepared.submit, prepared.refusal
        try:
            if prepared.request is not None:
                opened = self._engine.add_request(prepared.request, stream=submit.stream)
                self._open[submit.id] = opened
                self._untold.add(submit.id)
                if len(opened.outputs) == 1 and opened.outputs[0].logprobs is None:
                    self._plain[opened.outputs[0]] = submit.id
        except Exception as error:
            refusal = _refusal(submit, error)
        if refusal is not None:
            self._refused.append(refusal)
            if not self._engine.has_unfinished:
                self._tell(())

    def _tell_figures(self, now_s: float, *, with_maps: bool = False) -> None:
        self._figures_s = now_s
        stats = self._engine.stats
        scheduler = stats.scheduler
        self._send(
            Figures(
                num_steps=stats.num_steps,
                num_tokens=stats.num_tokens,
                num_running=scheduler.num_running,
                num_waiting=scheduler.num_waiting,
                num_preemptions=scheduler.num_preemptions,
                cache_usage=scheduler.cache_usage,
                num_prompt_tokens=scheduler.num_prompt_tokens,
                num_cached_tokens=scheduler.num_cached_tokens,
                block_maps=self._engine.block_maps() if with_maps else None,
            )
        )


def _finish_nothing(*_: object) -> None:
    """Do nothing: the server finds stop strings, and reports them."""


def _read(connection: socket.socket, commands: SimpleQueue[Command | None]) -> None:
    """Pass on the server's messages. If the server ends, end this process, whatever it is doing."""
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
    """Encode messages on this thread, so that the stepping thread need not."""
    while (message := messages.get()) is not None:
        try:
            connection.sendall(frame(message))
        except OSError:
            return  # the server has ended; the reading thread notices that too


def _chosen(blueprint: Blueprint) -> Chosen:
    files = blueprint.tokenizer_files
    plugin = blueprint.plugin(TOKENIZERS) if blueprint.has_tokenizer else None
    return Chosen(
        architecture=blueprint.spec.architecture,
        tokenizer_reference=files.reference,
        tokenizer_path=str(files.path),
        tokenizer_plugin=None if plugin is None else asdict(plugin),
        missing_tokenizer=blueprint.model.missing_tokenizer,
    )


def _opened(blueprint: Blueprint, engine: Engine) -> Opened:
    config, vectors = blueprint.config, engine.input.vectors
    assert config.model.max_length is not None, "a blueprint's config has its length resolved"
    return Opened(
        model=config.model.reference,
        path=str(blueprint.files.path),
        vocab_size=engine.vocab_size,
        max_length=config.model.max_length,
        num_blocks=list(engine.num_blocks),
        block_size=config.cache.block_size,
        explanation=msgspec.to_builtins(engine.explanation(), enc_hook=str),
        prompts=dict(vectors.pooling.prompts or {}),
        default_prompt=vectors.pooling.default_prompt,
        num_classes=vectors.scoring.num_classes,
    )


def _failure(error: BaseException) -> Failed:
    if isinstance(error, JackfieldError):
        return Failed(type(error).__name__, str(error))
    return Failed(type(error).__name__, "".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()


def _refusal(submit: Submit, error: Exception) -> Refusal:
    text = str(error) if isinstance(error, JackfieldError) else repr(error)
    return Refusal(submit.id, type(error).__name__, text)
