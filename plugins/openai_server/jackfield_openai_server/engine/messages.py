"""What the server and the engine's process say to each other: msgpack in frames, never pickle."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

_LENGTH = struct.Struct("<I")  # bytes of the frame that follows


class Open(msgspec.Struct, array_like=True, tag=0):
    """To the engine, first of all: make an engine of these settings."""

    words: list[str]  # of a command line that says them


class Submit(msgspec.Struct, array_like=True, tag=1):
    """To the engine: a request."""

    id: int
    prompt: list[int]
    sampling: dict[str, Any]  # fields of SamplingParams
    priority: int = 0
    cache_salt: str = ""
    stream: bool = True  # False: one message, at the end
    pooling: dict[str, Any] | None = (
        None  # fields of PoolingParams: a vector is wanted, and no tokens
    )
    second_text: int | None = None  # where the second of two texts begins in the prompt
    trace_parent: str | None = None  # of the HTTP request


class Abort(msgspec.Struct, array_like=True, tag=2):
    """To the engine: nobody waits for this request any more."""

    id: int


class Stop(msgspec.Struct, array_like=True, tag=3):
    """To the engine: a stop string stands in the text of an output, which ends with it."""

    id: int  # of the request
    index: int  # of the output
    text: str  # the stop string


class Chosen(msgspec.Struct, array_like=True, tag=4):
    """To the server, before the weights are loaded: what text of the model is made with."""

    architecture: str
    tokenizer_reference: str
    tokenizer_path: str
    tokenizer_plugin: dict[str, Any] | None  # fields of PluginRef; None if there is no tokenizer
    missing_tokenizer: str  # why there is none


class Opened(msgspec.Struct, array_like=True, tag=0):
    """To the server: the engine is ready."""

    model: str  # the reference
    path: str  # of its files
    vocab_size: int
    max_length: int  # tokens of one request, prompt and output
    num_blocks: list[int]  # of each cache group
    block_size: int
    explanation: dict[str, Any]  # as `jackfield explain --json` writes it
    prompts: dict[str, str] = {}  # texts that stand before a text whose vector is wanted, by name
    default_prompt: str | None = None  # of those
    num_classes: int | None = None  # of the classification head; None: there is none


class Failed(msgspec.Struct, array_like=True, tag=1):
    """To the server: the engine cannot be made, or has ended."""

    error: str  # the class
    message: str


class Delta(msgspec.Struct, array_like=True):
    """What one output of a request gained in a step."""

    id: int  # of the request
    index: int  # of the output
    token_ids: list[int]
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    error: str | None = None
    # of each token, where asked for: id, logprob, rank, most likely ids and their logprobs
    logprobs: list[tuple[int, float, int, list[int], list[float]]] | None = None
    ends_with_stop: bool = False  # the last token is the one that stopped it, which is no text
    text: str = ""  # filled in by the server
    vector: bytes | None = None  # float32, little-endian


class Begin(msgspec.Struct, array_like=True):
    """What is known of a request with its first tokens."""

    id: int
    num_cached_tokens: int  # of its prompt
    first_token_s: float  # seconds from arrival in the engine
    prompt_logprobs: list[tuple[int, float, int, list[int], list[float]] | None] | None = None


class Refusal(msgspec.Struct, array_like=True):
    """A request that the engine does not take, or loses."""

    id: int
    error: str  # the class
    message: str


class Moved(msgspec.Struct, array_like=True, tag=2):
    """To the server: what came of a step, for all requests at once."""

    deltas: list[Delta]
    begun: list[Begin]
    refused: list[Refusal]
    # Of outputs that gained one token and nothing else, most of a step: id of the request, token, id, token, ...
    tokens: list[int] = []


class Figures(msgspec.Struct, array_like=True, tag=3):
    """To the server, twice a second: the state of the engine."""

    num_steps: int
    num_tokens: int  # computed, of prompts and outputs
    num_running: int
    num_waiting: int
    num_preemptions: int
    cache_usage: float  # share of the blocks that is in use
    num_prompt_tokens: int  # of all admitted requests
    num_cached_tokens: int  # of these, found in the cache


ToEngine: TypeAlias = Open | Submit | Abort | Stop
ToServer: TypeAlias = Chosen | Opened | Failed | Moved | Figures

_encoder = msgspec.msgpack.Encoder()


def frame(message: ToEngine | ToServer) -> bytes:
    """The bytes of a message, with their number in front."""
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
