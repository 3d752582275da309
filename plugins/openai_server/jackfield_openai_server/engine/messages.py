"""The messages between the server and the engine's process: msgpack in frames, never pickle."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

_LENGTH = struct.Struct("<I")  # bytes of the following frame


class Open(msgspec.Struct, array_like=True, tag=0):
    """To the engine, as the first message: make an engine with these settings."""

    words: list[str]  # words of a command line with the settings


class Submit(msgspec.Struct, array_like=True, tag=1):
    """To the engine: a request."""

    id: int
    prompt: list[int]
    sampling: dict[str, Any]  # fields of SamplingParams
    priority: int = 0
    cache_salt: str = ""
    stream: bool = True  # False: one message at the end
    # Fields of PoolingParams. If set, a vector is wanted, and no tokens.
    pooling: dict[str, Any] | None = None
    second_text: int | None = None  # index in the prompt at which the second of two texts begins
    trace_parent: str | None = None  # header of the HTTP request


class Abort(msgspec.Struct, array_like=True, tag=2):
    """To the engine: nobody waits for this request any more."""

    id: int


class Stop(msgspec.Struct, array_like=True, tag=3):
    """To the engine: a stop string was found in the text of an output, which ends with it."""

    id: int  # id of the request
    index: int  # index of the output
    text: str  # the stop string


class Look(msgspec.Struct, array_like=True, tag=5):
    """To the engine: send figures now, with what the blocks of the cache hold."""


class Adapt(msgspec.Struct, array_like=True, tag=6):
    """To the engine: load an adapter, or forget it if `path` is empty."""

    name: str
    path: str = ""  # folder


class Adapted(msgspec.Struct, array_like=True, tag=5):
    """To the server: the answer to an `Adapt`. They come in the order of the questions."""

    error: str = ""  # class of the error; "": it was done
    message: str = ""


class Chosen(msgspec.Struct, array_like=True, tag=4):
    """To the server, before the weights are loaded: the choices that the server needs to make text."""

    architecture: str
    tokenizer_reference: str
    tokenizer_path: str
    tokenizer_plugin: dict[str, Any] | None  # fields of PluginRef; None if there is no tokenizer
    missing_tokenizer: str  # why there is no tokenizer


class Opened(msgspec.Struct, array_like=True, tag=0):
    """To the server: the engine is ready."""

    model: str  # reference of the model
    path: str  # path of the model's files
    vocab_size: int
    max_length: int  # most tokens of one request, prompt and output together
    num_blocks: list[int]  # for each cache group
    block_size: int
    explanation: dict[str, Any]  # as `jackfield explain --json` writes it
    # Texts to put before an input of which a vector is wanted, by name.
    prompts: dict[str, str] = {}
    default_prompt: str | None = None  # name of the default one
    num_classes: int | None = None  # classes of the classification head; None: there is no head


class Failed(msgspec.Struct, array_like=True, tag=1):
    """To the server: the engine cannot be made, or has ended."""

    error: str  # class of the error
    message: str


class Delta(msgspec.Struct, array_like=True):
    """The new tokens of one output of a request after a step."""

    id: int  # id of the request
    index: int  # index of the output
    token_ids: list[int]
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    error: str | None = None
    # For each token, if asked for: id, logprob, rank, most likely ids and their logprobs.
    logprobs: list[tuple[int, float, int, list[int], list[float]]] | None = None
    ends_with_stop: bool = False  # True: the last token stopped the output, and is not text
    text: str = ""  # set by the server
    vector: bytes | None = None  # float32, little-endian


class Begin(msgspec.Struct, array_like=True):
    """Facts of a request that are known with its first tokens."""

    id: int
    num_cached_tokens: int  # tokens of its prompt that were found in the cache
    first_token_s: float  # seconds since its arrival in the engine
    prompt_logprobs: list[tuple[int, float, int, list[int], list[float]] | None] | None = None


class Refusal(msgspec.Struct, array_like=True):
    """A request that the engine refuses, or loses."""

    id: int
    error: str  # class of the error
    message: str


class Moved(msgspec.Struct, array_like=True, tag=2):
    """To the server: the results of a step, for all requests at once."""

    deltas: list[Delta]
    begun: list[Begin]
    refused: list[Refusal]
    # Outputs that got one token and nothing else, which are most of a step: request id, token, id, token, ...
    tokens: list[int] = []


class Figures(msgspec.Struct, array_like=True, tag=3):
    """To the server, twice a second: the state of the engine."""

    num_steps: int
    num_tokens: int  # tokens computed, of prompts and outputs
    num_running: int
    num_waiting: int
    num_preemptions: int
    cache_usage: float  # share of the blocks that are in use
    num_prompt_tokens: int  # of all admitted requests
    num_cached_tokens: int  # of these, found in the cache
    # If asked for: of each cache group a letter for each block, as Engine.block_maps writes it.
    block_maps: list[str] | None = None


ToEngine: TypeAlias = Open | Submit | Abort | Stop | Look | Adapt
ToServer: TypeAlias = Chosen | Opened | Failed | Moved | Figures | Adapted

_encoder = msgspec.msgpack.Encoder()


def frame(message: ToEngine | ToServer) -> bytes:
    """The bytes of a message, preceded by their number."""
    return framed(message)


def framed(message: msgspec.Struct) -> bytes:
    """As `frame`, for messages of other processes than the engine's."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class FrameBuffer:
    """Cuts a stream of bytes into the bodies of messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def push(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete with these bytes."""
        buffer = self._bytes
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(buffer, start)[0]
            if len(buffer) < end:
                break
            yield bytes(buffer[start + _LENGTH.size : end])
            start = end
        del buffer[:start]
