"""From requests that moved in a step to what a user gets back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from jackfield.discovery.loading import FAULTS
from jackfield.engine.output_text import OutputText
from jackfield.engine.views import ListView, StreamedOutput
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.request import (
    CompletionOutput,
    EngineRequest,
    FinishReason,
    RequestMetrics,
    RequestOutput,
)
from jackfield.scheduler import Request
from jackfield.step import TokenLogprobs

logger = logging.getLogger(__name__)
Finish = Callable[[Request, FinishReason, str | int | None], None]  # the scheduler's


class OutputProcessor:
    """Keeps what is needed of each open request; the text of one that nobody streams is made once, at its end."""

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        finish: Finish,
        tokenizer_name: str = "the tokenizer",  # with its distribution
    ) -> None:
        self._tokenizer = tokenizer
        self._tokenizer_name = tokenizer_name
        self._finish = finish
        self._outputs: dict[Request, _Output] = {}  # of open requests

    def add(
        self,
        engine_request: EngineRequest,
        requests: Sequence[Request],
        now_s: float,
        *,
        stream: bool,
    ) -> None:
        """Follow a request, whose outputs are `requests`. `stream`: each step in which it moved is reported."""
        group = _Group(engine_request, requests, now_s, stream=stream)
        for request in requests:
            is_quiet = not stream and not request.sampling.stop
            output = _Output(request, group, is_quiet=is_quiet or self._tokenizer is None)
            group.outputs.append(output)
            self._outputs[request] = output

    def process(self, moved: Sequence[Request], now_s: float) -> list[RequestOutput]:
        """Report requests that moved, each at most once; a stop string in their text ends them."""
        touched: dict[_Group, None] = {}
        for request in moved:
            output = self._outputs[request]
            group = output.group
            if group.first_token_s is None:
                group.first_token_s = now_s
            ended = request.finish_reason is not None
            if not output.is_quiet or ended:
                self._advance(output, ended=ended)
            if group.stream or output.finished is not None:
                touched[group] = None
        return [group.report(now_s) for group in touched if group.stream or group.is_finished]

    def end(self, requests: Sequence[Request], now_s: float) -> RequestOutput:
        """The last report of a request that was ended from outside."""
        for request in requests:
            output = self._outputs.get(request)
            if output is not None:
                self._advance(output, ended=True)
                group = output.group
        return group.report(now_s)

    def _advance(self, output: _Output, *, ended: bool) -> None:
        if self._tokenizer is not None:
            try:
                self._decode(output, self._tokenizer, ended=ended)
            except FAULTS as error:
                self._fail(output.request, error)
            ended = output.request.finish_reason is not None
        if ended:
            del self._outputs[output.request]
            output.end()

    def _decode(self, output: _Output, tokenizer: Tokenizer, *, ended: bool) -> None:
        if output.text is None:
            output.text = OutputText(output.request, tokenizer)
        output.show(output.text.finish() if ended else output.text.advance())
        if output.text.stop is not None:
            self._finish(output.request, FinishReason.STOP, output.text.stop)

    def _fail(self, request: Request, error: BaseException) -> None:
        """End one request whose tokens have no text, also where it had just ended otherwise; the others go on."""
        text = f"{self._tokenizer_name} cannot decode tokens: {type(error).__name__}: {error}"
        logger.error("request %s: %s", request.request_id, text, exc_info=error)
        self._finish(request, FinishReason.ERROR, None)
        request.finish_reason, request.stop_reason, request.error = FinishReason.ERROR, None, text


class _Output:
    """One of the n outputs of a request."""

    def __init__(self, request: Request, group: _Group, *, is_quiet: bool) -> None:
        self.request = request
        self.group = group
        self.is_quiet = is_quiet  # nothing to do before it ends
        self.text: OutputText | None = None
        self.finished: CompletionOutput | None = None
        self._pieces: list[str] = []  # of the text
        self._delta = ""  # since the last report

    def show(self, delta: str) -> None:
        if delta:
            self._pieces.append(delta)
            self._delta += delta

    def end(self) -> None:
        """Make the final output; the tokens are copied, so that nothing of the request is kept."""
        request, text = self.request, self.text
        num_tokens = request.num_output_tokens
        reason, stop_reason = request.finish_reason, request.stop_reason
        if text is not None and text.stop is not None:
            reason, stop_reason = (
                FinishReason.STOP,
                text.stop,
            )  # also where the last token reached a length
            num_tokens = num_tokens if text.num_tokens is None else text.num_tokens
        logprobs = request.logprobs
        self.finished = CompletionOutput(
            index=request.index,
            text="".join(self._pieces),
            token_ids=request.output_token_ids[:num_tokens],
            delta=self._delta,
            finish_reason=reason,
            stop_reason=stop_reason,
            logprobs=None if logprobs is None else logprobs[:num_tokens],
            error=request.error,
        )
        self._delta = ""

    def state(self) -> CompletionOutput:
        """What to report of it now."""
        if (finished := self.finished) is not None:
            self.finished = _without_delta(finished) if finished.delta else finished
            return finished
        request, delta = self.request, self._delta
        self._delta = ""
        logprobs: ListView[TokenLogprobs] | None = None
        if request.logprobs is not None:
            logprobs = ListView(request.logprobs, 0, len(request.logprobs))
        return StreamedOutput(
            index=request.index,
            pieces=self._pieces,
            token_ids=ListView(
                request.token_ids, request.num_prompt_tokens, len(request.token_ids)
            ),
            delta=delta,
            logprobs=logprobs,
        )


class _Group:
    """A request with its n outputs."""

    def __init__(
        self, request: EngineRequest, requests: Sequence[Request], now_s: float, *, stream: bool
    ) -> None:
        self.stream = stream
        self.outputs: list[_Output] = []
        self.first_token_s: float | None = None
        self._request = request
        self._requests = requests
        self._arrived_s = now_s

    @property
    def is_finished(self) -> bool:
        return all(output.finished is not None for output in self.outputs)

    def report(self, now_s: float) -> RequestOutput:
        is_finished = self.is_finished
        first = self._requests[0]
        prompt_logprobs = first.prompt_logprobs
        if prompt_logprobs is not None and len(prompt_logprobs) < first.num_prompt_tokens:
            prompt_logprobs = None  # not complete
        return RequestOutput(
            request_id=self._request.request_id,
            prompt=self._request.prompt,
            prompt_token_ids=self._request.prompt_token_ids,
            outputs=[output.state() for output in self.outputs],
            finished=is_finished,
            metrics=RequestMetrics(
                arrived_s=self._arrived_s,
                first_token_s=self.first_token_s,
                finished_s=now_s if is_finished else None,
                num_cached_tokens=first.num_cached_tokens,
                num_preemptions=sum(request.num_preemptions for request in self._requests),
            ),
            prompt_logprobs=prompt_logprobs,
        )


def _without_delta(output: CompletionOutput) -> CompletionOutput:
    return replace(output, delta="")
