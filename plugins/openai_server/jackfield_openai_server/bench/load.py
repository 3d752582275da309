"""Sends the requests of a benchmark and notes when the pieces of their answers arrive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httptools

from jackfield_openai_server.bench.http import Target, request


@dataclass(slots=True)
class Trace:
    """One request, as its client saw it."""

    sent_s: float  # in the time of time.perf_counter(), as all times here
    piece_s: list[float] = field(default_factory=list)  # times of pieces with text
    num_prompt_tokens: int = 0
    num_tokens: int = 0  # tokens of the answer by the server's count, otherwise number of pieces
    error: str | None = None

    @property
    def first_token_s(self) -> float:
        """Seconds from sending to the first piece of text."""
        return self.piece_s[0] - self.sent_s

    @property
    def whole_s(self) -> float:
        """Seconds from sending to the last piece."""
        return self.piece_s[-1] - self.sent_s

    @property
    def per_token_s(self) -> float | None:
        """Mean seconds for each token after the first; None if there is none."""
        if self.num_tokens < 2:
            return None
        return (self.piece_s[-1] - self.piece_s[0]) / (self.num_tokens - 1)

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between pieces. A piece can hold several tokens."""
        times = self.piece_s
        return [after - before for before, after in pairwise(times)]


async def send_all(
    target: Target,
    path: str,
    bodies: Sequence[bytes],
    gaps: Iterator[float],
    max_concurrency: int | None,
    timeout_s: float,
) -> tuple[list[Trace], float]:
    """Send all requests at their times. Returns their traces, and the seconds until the last answer ended."""
    room = asyncio.Semaphore(max_concurrency or len(bodies))
    began_s = due_s = time.perf_counter()
    tasks = []
    for body, gap_s in zip(bodies, gaps, strict=False):
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        tasks.append(asyncio.create_task(_send(target, path, body, room, timeout_s)))
        due_s += gap_s  # counted from the due time, so that a late timer delays no other request
    traces = await asyncio.gather(*tasks)
    return list(traces), time.perf_counter() - began_s


async def _send(
    target: Target, path: str, body: bytes, room: asyncio.Semaphore, timeout_s: float
) -> Trace:
    async with room:
        trace = Trace(time.perf_counter())
        try:
            async with asyncio.timeout(timeout_s):
                await _read(target, path, body, trace)
        except TimeoutError:
            trace.error = f"no end within {timeout_s:g} s"
        except (OSError, ValueError, httptools.HttpParserError) as error:
            trace.error = f"{type(error).__name__}: {error}"
        if trace.error is None and not trace.piece_s:
            trace.error = "the answer holds no text"
        return trace


async def _read(target: Target, path: str, body: bytes, trace: Trace) -> None:
    rest = b""
    async for status, data, now_s in request(target, "POST", path, body):
        rest += data
        if status != 200:
            trace.error = f"{status}: {rest.decode(errors='replace')[:300]}"
            continue
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and b"[DONE]" not in line[:14]:
                _note(trace, json.loads(line[5:]), now_s)


def _note(trace: Trace, chunk: dict[str, Any], now_s: float) -> None:
    """Note the content of one event."""
    if error := chunk.get("error"):
        trace.error = str(error.get("message", error) if isinstance(error, dict) else error)
    if any(_has_text(choice) for choice in chunk.get("choices") or ()):
        trace.piece_s.append(now_s)
        trace.num_tokens = max(trace.num_tokens, len(trace.piece_s))
    if usage := chunk.get("usage"):
        trace.num_tokens = usage.get("completion_tokens", trace.num_tokens)
        trace.num_prompt_tokens = usage.get("prompt_tokens", 0)


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if delta is None:
        return bool(choice.get("text"))
    return any(delta.get(name) for name in ("content", "reasoning_content", "tool_calls"))
