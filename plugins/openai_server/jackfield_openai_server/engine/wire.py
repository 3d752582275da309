"""Converts the engine's deltas to the messages for the server."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

from jackfield.engine.deltas import Delta as EngineDelta
from jackfield.request import FinishReason
from jackfield.step import TokenLogprobs
from jackfield_openai_server.engine.messages import Begin, Delta

Entry = tuple[int, float, int, list[int], list[float]]


def wire_delta(delta: EngineDelta) -> Delta:
    """The message for a delta of one output."""
    output = delta.output
    request_id = int(output.open_request.request.request_id)
    if delta.ending is None and delta.logprobs is None:
        return Delta(request_id, output.index, delta.token_ids)
    reason, logprobs, token_ids = delta.finish_reason, delta.logprobs, delta.token_ids
    is_stopped = reason is FinishReason.STOP and bool(token_ids)
    return Delta(
        request_id,
        output.index,
        token_ids,
        None if reason is None else str(reason),
        delta.stop_reason,
        delta.error,
        None if logprobs is None else [_entry(entry) for entry in logprobs],
        is_stopped and token_ids[-1] in output.stop_ids,
        vector=None if output.vector is None else _bytes(output.vector),
    )


def begin_of(request_id: int, delta: EngineDelta) -> Begin:
    """The facts that are known with the first tokens of a request."""
    request = delta.request
    first = request.outputs[0]
    found: Sequence[TokenLogprobs | None] | None = first.prompt_logprobs
    if found is not None and len(found) < first.num_prompt_tokens:
        found = None  # not complete, because the request failed
    first_token_s = request.first_token_s or request.arrived_s
    return Begin(
        request_id,
        first.num_cached_tokens,
        first_token_s - request.arrived_s,
        None if found is None else [None if entry is None else _entry(entry) for entry in found],
    )


def _bytes(vector: array[float]) -> bytes:
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()


def _entry(entry: TokenLogprobs) -> Entry:
    return (
        entry.token_id,
        entry.logprob,
        entry.rank,
        list(entry.top_ids),
        list(entry.top_logprobs),
    )
