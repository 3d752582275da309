"""From deltas to the `RequestOutput` that a user reads. Runs on the reader's thread."""

from __future__ import annotations

from jackfield.engine.deltas import Delta, OpenOutput, OpenRequest
from jackfield.engine.views import ListView, StreamedOutput
from jackfield.request import CompletionOutput, RequestMetrics, RequestOutput
from jackfield.sampling import OutputKind


class Answer:
    """What the reader of one request has seen of it. The lists are those of the transcripts, without a copy."""

    def __init__(self, request: OpenRequest) -> None:
        self._request = request
        is_delta = request.request.sampling.output_kind is OutputKind.DELTA
        self._outputs = [(_New if is_delta else _Seen)(output) for output in request.outputs]
        self._num_open = len(self._outputs)

    @property
    def is_finished(self) -> bool:
        """True once all outputs have ended."""
        return self._num_open == 0

    def add(self, delta: Delta) -> RequestOutput | None:
        """Take a delta. If it is the last delta of its request in this step, return what to report.

        A request that is not streamed is reported once, at its end.
        """
        self._outputs[delta.index].add(delta)
        if delta.ending is not None:
            self._num_open -= 1
        if delta.more_follow or not (self._request.is_streamed or self.is_finished):
            return None
        return _request_output(self._request, [seen.state() for seen in self._outputs])


def whole_answer(request: OpenRequest, last: Delta) -> RequestOutput:
    """The whole output of a request that has ended with this delta."""
    return _request_output(
        request,
        [
            _finished(output, last.text if output is last.output else "")
            for output in request.outputs
        ],
    )


class _Seen:
    """One output, as far as its reader has seen it."""

    def __init__(self, output: OpenOutput) -> None:
        self._output = output
        self._num_tokens = 0
        self._num_pieces = 0
        self._delta = ""  # text since the last report
        self._is_ended = False
        self._finished: CompletionOutput | None = None

    def add(self, delta: Delta) -> None:
        self._num_tokens += delta.stop - delta.start
        if delta.text:
            self._num_pieces += 1
            self._delta += delta.text
        self._is_ended = delta.ending is not None

    def state(self) -> CompletionOutput:
        """What to report of this output now."""
        delta, self._delta = self._delta, ""
        if not self._is_ended:
            return self._streamed(delta)
        if self._finished is not None:
            return self._finished  # it ended earlier
        now = _finished(self._output, delta)
        self._finished = _finished(self._output, "") if delta else now
        return now

    def _streamed(self, delta: str) -> CompletionOutput:
        output, transcript = self._output, self._output.transcript
        first, num_tokens = output.num_prompt_tokens, self._num_tokens
        logprobs = output.logprobs
        return StreamedOutput(
            index=output.index,
            pieces=[] if transcript is None else transcript.pieces,
            num_pieces=self._num_pieces,
            token_ids=ListView(output.token_ids, first, first + num_tokens),
            delta=delta,
            logprobs=None if logprobs is None else ListView(logprobs, 0, num_tokens),
        )


class _New(_Seen):
    """One output whose reports hold only what is new."""

    def __init__(self, output: OpenOutput) -> None:
        super().__init__(output)
        self._num_told = 0  # tokens reported so far

    def state(self) -> CompletionOutput:
        """What is new since the last report."""
        delta, self._delta = self._delta, ""
        output, start = self._output, self._num_told
        stop = self._num_told = self._num_tokens
        first, logprobs, ending = output.num_prompt_tokens, output.logprobs, None
        if self._is_ended and output.transcript is not None:
            ending = output.transcript.ending
        return CompletionOutput(
            index=output.index,
            text=delta,
            token_ids=output.token_ids[first + start : first + stop],
            delta=delta,
            finish_reason=None if ending is None else ending.finish_reason,
            stop_reason=None if ending is None else ending.stop_reason,
            logprobs=None if logprobs is None else logprobs[start:stop],
            error=None if ending is None else ending.error,
            score=output.score,
        )


def _finished(output: OpenOutput, delta: str) -> CompletionOutput:
    """The final state of an output. The tokens are copied, so that nothing keeps the request alive."""
    transcript = output.transcript
    assert transcript is not None, "the output has ended"
    ending = transcript.ending
    assert ending is not None, "the output has ended"
    num_tokens, logprobs = transcript.num_tokens, output.logprobs
    first = output.num_prompt_tokens
    return CompletionOutput(
        index=output.index,
        text="".join(transcript.pieces),
        token_ids=output.token_ids[first : first + num_tokens],
        delta=delta,
        finish_reason=ending.finish_reason,
        stop_reason=ending.stop_reason,
        logprobs=None if logprobs is None else logprobs[:num_tokens],
        error=ending.error,
        score=output.score,
        vector=output.vector,
    )


def _request_output(open_request: OpenRequest, states: list[CompletionOutput]) -> RequestOutput:
    request, outputs = open_request.request, open_request.outputs
    first = outputs[0]
    is_finished = all(state.finish_reason is not None for state in states)
    prompt_logprobs = first.prompt_logprobs
    if prompt_logprobs is not None and len(prompt_logprobs) < first.num_prompt_tokens:
        prompt_logprobs = None  # they are not complete yet
    endings = [output.transcript.ending for output in outputs if output.transcript is not None]
    ended_s = max((ending.time_s for ending in endings if ending is not None), default=None)
    return RequestOutput(
        request_id=request.request_id,
        prompt=request.prompt,
        prompt_token_ids=request.prompt_token_ids,
        outputs=states,
        finished=is_finished,
        metrics=RequestMetrics(
            arrived_s=open_request.arrived_s,
            admitted_s=first.admitted_s,
            first_token_s=open_request.first_token_s,
            finished_s=ended_s if is_finished else None,
            num_cached_tokens=first.num_cached_tokens,
            num_preemptions=sum(output.num_preemptions for output in outputs),
        ),
        prompt_logprobs=prompt_logprobs,
        trace_parent=request.trace_parent,
        details=request.details,
    )
