"""From what the engine reports of its requests to what is new in them."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.request import CompletionOutput, RequestOutput
from jackfield.step import TokenLogprobs
from jackfield_openai_server.engine.messages import Delta, Finish

Logprobs = list[tuple[int, float, int, list[int], list[float]]]


class Following:
    """Knows how many tokens of each output the server has been told."""

    def __init__(self) -> None:
        self._told: dict[int, list[int]] = {}  # by request; tokens of each output, -1 once it ended

    def add(self, request_id: int, num_outputs: int) -> None:
        """A request that the engine took in."""
        self._told[request_id] = [0] * num_outputs

    def forget(self, request_id: int) -> None:
        """A request that nobody waits for."""
        self._told.pop(request_id, None)

    def read(self, outputs: Sequence[RequestOutput]) -> tuple[list[Delta], list[Finish]]:
        """What is new, and which requests ended."""
        deltas: list[Delta] = []
        finished: list[Finish] = []
        for output in outputs:
            request_id = int(output.request_id)
            told = self._told.get(request_id)
            if told is None:
                continue
            for completion in output.outputs:
                if told[completion.index] >= 0:
                    delta = _delta(request_id, completion, told)
                    if delta is not None:
                        deltas.append(delta)
            if output.finished:
                del self._told[request_id]
                finished.append(_finish(request_id, output))
        return deltas, finished


def _delta(request_id: int, completion: CompletionOutput, told: list[int]) -> Delta | None:
    """What an output gained; None where it did not move."""
    index, has_ended = completion.index, completion.finish_reason is not None
    first, last = told[index], len(completion.token_ids)
    if first == last and not completion.delta and not has_ended:
        return None
    told[index] = -1 if has_ended else last
    logprobs = None if completion.logprobs is None else completion.logprobs[first:last]
    return Delta(
        request_id,
        index,
        completion.delta,
        list(completion.token_ids[first:last]),
        completion.finish_reason,
        completion.stop_reason,
        completion.error,
        None if logprobs is None else [plain_logprobs(entry) for entry in logprobs],
    )


def _finish(request_id: int, output: RequestOutput) -> Finish:
    metrics, found = output.metrics, output.prompt_logprobs
    first_token_s, finished_s = metrics.first_token_s, metrics.finished_s
    return Finish(
        request_id,
        len(output.prompt_token_ids),
        metrics.num_cached_tokens,
        metrics.num_preemptions,
        None if first_token_s is None else first_token_s - metrics.arrived_s,
        None if finished_s is None else finished_s - metrics.arrived_s,
        None if found is None else [None if e is None else plain_logprobs(e) for e in found],
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
