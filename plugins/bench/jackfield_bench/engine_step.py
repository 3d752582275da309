"""CPU time of a whole step of the engine without the worker, with 128 decoding rows.

The worker answers at once with the tokens of a text, so that answers are like real ones. Each way of reading is
measured on the threads that clients use: the time of the stepping thread, and the time of the whole process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jackfield.client import LLM, AsyncLLM
from jackfield.config import load_config
from jackfield.engine.deltas import Delta, OpenRequest
from jackfield.errors import EngineClosedError
from jackfield.sampling import SamplingParams
from jackfield_bench.instant import SCRIPT, SETTINGS, write_instant_model
from jackfield_bench.report import summarise

ROWS = 128
QUEUED = 10_000  # prompts
BLOCK_SIZE = 16  # tokens
STEPS = 32 * BLOCK_SIZE  # steps of one sample
WARM_UP = 64  # steps
VOCABULARY = 8192  # tokens of the tokenizer that is trained here
SCRIPT_STEPS = 1024  # after these steps the text begins again


def measure_engine(repeats: int, tokenizer: str | None) -> dict[str, Any]:
    """Microseconds a step for each way of reading, with and without a long queue.

    `tokenizer`: the tokenizer of a model, given by reference. None trains a byte-level BPE of 8,192 tokens on
    Python's manual.
    """
    with tempfile.TemporaryDirectory() as name:
        bench = _Bench(Path(name), repeats, tokenizer)
        return {
            "rows": ROWS,
            "queued": QUEUED,
            **{way: bench.measure(way, 0) for way in _WAYS},
            **{f"{way}_with_queue": bench.measure(way, QUEUED) for way in _WAYS},
        }


class _Bench:
    """Opens a fresh engine for each measurement."""

    def __init__(self, folder: Path, repeats: int, tokenizer: str | None) -> None:
        self._folder = folder
        self._repeats = repeats
        # Tokens of a request, so many that no request ends during the measurement.
        self._length = 2 * repeats * STEPS + 1024
        self._settings = {
            **SETTINGS,
            "model.reference": str(folder),
            "cache.block_size": BLOCK_SIZE,
            "cache.num_blocks": ROWS * (self._length // BLOCK_SIZE + 2),
            "scheduler.max_rows": ROWS,
            "scheduler.max_step_tokens": ROWS * BLOCK_SIZE,
        }
        write_instant_model(folder, vocab_size=1 << 20, max_length=self._length)
        if tokenizer is None:
            _train_tokenizer(folder / "tokenizer.json")
        else:
            self._settings["model.tokenizer"] = tokenizer
        _write_script(folder / SCRIPT, self._tokens())

    def measure(self, way: str, num_queued: int) -> dict[str, Any]:
        """The samples of one way of reading."""
        read = _WAYS[way]
        prompts = [[1 + row] * BLOCK_SIZE for row in range(ROWS + num_queued)]
        client = (AsyncLLM if read is _read_async else LLM).from_config(self._loaded())
        gc.collect()
        marks = _Marks(client.engine.step, self._repeats)
        with (
            patch.object(client.engine, "step", marks.step),
            _reading(lambda: read(client, prompts)),
        ):
            marks.are_complete.wait()
            client.close()
        steps = list(pairwise(marks.taken))
        return {
            "stepping_thread_us": summarise([1e6 * (b[0] - a[0]) / STEPS for a, b in steps]),
            "process_us": summarise([1e6 * (b[1] - a[1]) / STEPS for a, b in steps]),
        }

    def _loaded(self) -> Any:
        return load_config(environ={}, code=self._settings)

    def _tokens(self) -> list[int]:
        with LLM.from_config(self._loaded()) as llm:
            assert llm.tokenizer is not None, "the folder has one"
            return llm.tokenizer.encode(_manual(), add_special_tokens=False)


class _Marks:
    """Reads clocks on the stepping thread, before the first sample and after each sample."""

    def __init__(self, step: Callable[[], list[Delta]], repeats: int) -> None:
        self._step = step
        self._num_samples = repeats
        self._num_left = WARM_UP  # steps before the next mark
        self.taken: list[tuple[float, float]] = []  # seconds of the thread and of the process
        self.are_complete = threading.Event()

    def step(self) -> list[Delta]:
        """Replaces the engine's `step`."""
        if self._num_left == 0:
            self._num_left = STEPS
            self.taken.append((time.thread_time(), time.process_time()))
            if len(self.taken) > self._num_samples:
                self._num_left = -1  # no further marks
                self.are_complete.set()
        self._num_left -= 1
        return self._step()


@contextmanager
def _reading(read: Callable[[], None]) -> Iterator[None]:
    """Read on a thread until the client is closed."""

    def run() -> None:
        with suppress(EngineClosedError):
            read()

    reader = threading.Thread(target=run)
    reader.start()
    yield
    reader.join()


_PARAMS = SamplingParams(max_tokens=None, ignore_eos=True)


def _read_at_end(client: LLM, prompts: Sequence[list[int]]) -> None:
    client.generate(prompts, _PARAMS)


def _read_outputs(client: LLM, prompts: Sequence[list[int]]) -> None:
    for _ in client.stream(prompts, _PARAMS):
        pass


def _read_async(client: AsyncLLM, prompts: Sequence[list[int]]) -> None:
    async def one(prompt: list[int]) -> None:
        async for delta in client.deltas(prompt, _PARAMS):
            assert delta.token_ids

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, prompts))

    asyncio.run(all_of_them())


def _read_deltas(client: LLM, prompts: Sequence[list[int]]) -> None:
    requests = [client.engine.input.process(prompt, _PARAMS) for prompt in prompts]
    sink = _Sink()
    client.engine_thread.add_all(requests, sink, stream=True)
    sink.is_over.wait()


class _Sink:
    """Takes deltas with their text, and does nothing else."""

    def __init__(self) -> None:
        self.num_characters = 0
        self.is_over = threading.Event()

    @property
    def home(self) -> _Sink:
        """The object itself, so that all deltas of a step come at once."""
        return self

    def taken(self, request: OpenRequest) -> None:
        """Do nothing."""

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        """Count the characters."""
        for delta in deltas:
            self.num_characters += len(delta.text)
        return True

    def fail(self, error: BaseException) -> None:
        """Do nothing: the client was closed."""
        self.is_over.set()


_WAYS: dict[str, Callable[[Any, Sequence[list[int]]], None]] = {
    "blocking": _read_at_end,  # LLM.generate
    "streaming": _read_deltas,  # deltas with their text, to one reader
    "llm_stream": _read_outputs,  # LLM.stream, each output read
    "async_deltas": _read_async,  # AsyncLLM.deltas, a task for each request
}


def _manual() -> str:
    from pydoc_data.topics import topics

    return "\n".join(topics.values())


def _train_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [_manual()],
        trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.save(str(path))


def _write_script(path: Path, token_ids: Sequence[int]) -> None:
    """Write a script in which each row gets another part of the text."""
    size = len(token_ids)
    steps = [
        [token_ids[(row * SCRIPT_STEPS + step) % size] for row in range(ROWS)]
        for step in range(SCRIPT_STEPS)
    ]
    path.write_text(json.dumps(steps))
