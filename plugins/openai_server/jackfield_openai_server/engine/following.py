"""From the deltas of the engine to what the server is told."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.engine.deltas import Delta as Moved
from jackfield.engine.deltas import OpenRequest
from jackfield.step import TokenLogprobs
from jackfield_openai_server.engine.messages import Delta, Finish


def read(moved: Sequence[Moved]) -> tuple[list[Delta], list[Finish]]:
    """What is new, and which requests ended."""
    deltas = [_delta(delta) for delta in moved]
    return deltas, [_finish(delta.request, delta) for delta in moved if delta.is_last]


def _delta(moved: Moved) -> Delta:
    delta = Delta(
        int(moved.output.open_request.request.request_id),
        moved.output.index,
        moved.text,
        moved.token_ids,
    )
    ending = moved.ending
    if ending is not None:
        delta.finish_reason, delta.stop_reason = ending.finish_reason, ending.stop_reason
        delta.error = ending.error
    if moved.logprobs is not None:
        delta.logprobs = [plain_logprobs(entry) for entry in moved.logprobs]
    return delta


def _finish(request: OpenRequest, last: Moved) -> Finish:
    first, arrived_s = request.outputs[0], request.arrived_s
    found, first_token_s = first.prompt_logprobs, request.first_token_s
    is_complete = found is not None and len(found) == first.num_prompt_tokens
    return Finish(
        int(request.request_id),
        first.num_prompt_tokens,
        first.num_cached_tokens,
        sum(output.num_preemptions for output in request.outputs),
        None if first_token_s is None else first_token_s - arrived_s,
        None if last.ending is None else last.ending.time_s - arrived_s,
        [None if entry is None else plain_logprobs(entry) for entry in found]
        if found is not None and is_complete
        else None,
    )


def plain_logprobs(entry: TokenLogprobs) -> tuple[int, float, int, list[int], list[float]]:
    """An entry as it crosses to the server."""
    return (
        entry.token_id,
        entry.logprob,
        entry.rank,
        list(entry.top_ids),
        list(entry.top_logprobs),
    )
