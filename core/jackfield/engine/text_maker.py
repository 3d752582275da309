"""From deltas of tokens to deltas with text: detokenizing and stop strings, away from the thread that steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from jackfield.discovery.loading import FAULTS
from jackfield.engine.answer import whole_answer
from jackfield.engine.deltas import Delta, OpenOutput, mark_siblings
from jackfield.engine.observers import Observers
from jackfield.engine.transcript import Ending, Transcript
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.request import FinishReason
from jackfield.text.output_text import OutputText
from jackfield.text.pieces import Pieces

logger = logging.getLogger(__name__)
Finish = Callable[[OpenOutput, FinishReason, str | None], None]  # Engine.finish, or who calls it


class TextMaker:
    """Takes all deltas of an engine, in their order, on one thread.

    An output that a stop string ends may have drawn more tokens by then, since steps are in flight: `finish` tells the
    engine, and whatever still comes of that output is dropped. Text that nobody follows is made once, at its end.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        finish: Finish,
        observers: Callable[[], Observers],  # those of this moment
        tokenizer_name: str = "the tokenizer",  # with its distribution
    ) -> None:
        self._tokenizer = tokenizer
        self._tokenizer_name = tokenizer_name
        self._finish = finish
        self._observers = observers
        self._pieces = Pieces(tokenizer) if tokenizer is not None else None

    def make(self, deltas: Sequence[Delta]) -> list[Delta]:
        """The deltas to be handed over, with their text; observers are told of requests that ended."""
        made = []
        has_siblings = False
        for delta in deltas:
            output = delta.output
            transcript = output.transcript
            if transcript is None:
                transcript = self._begin(output)
            elif transcript.ending is not None:
                continue  # surplus tokens behind a stop string
            self._write(delta, transcript)
            request = output.open_request
            if delta.ending is not None:
                self._end(delta, transcript)
            elif not request.is_streamed:
                continue
            has_siblings = has_siblings or delta.more_follow
            made.append(delta)
        if has_siblings:
            mark_siblings(made)
        return made

    def _begin(self, output: OpenOutput) -> Transcript:
        tokenizer = self._tokenizer
        output.transcript = transcript = Transcript(None)
        if tokenizer is not None:
            prompt = output.open_request.request.prompt_token_ids
            try:
                text = OutputText(tokenizer, prompt, output.sampling, self._pieces)
            except FAULTS as error:
                transcript.advance = _raiser(error)
            else:
                output.transcript = transcript = Transcript(text)
        return transcript

    def _write(self, delta: Delta, transcript: Transcript) -> None:
        """Make the text of one delta, and shorten it where a stop string ends the output."""
        try:
            if delta.ending is None or transcript.text is None:
                text = transcript.advance(delta.token_ids)
            else:
                text = transcript.text.finish(_shown(delta))
        except FAULTS as error:
            self._fail(delta, error)
            text = ""
        transcript.num_tokens += len(delta.token_ids)
        if text:
            delta.text = text
            transcript.pieces.append(text)
        if transcript.text is not None and transcript.text.stop is not None:
            self._stop(delta, transcript, transcript.text)

    def _stop(self, delta: Delta, transcript: Transcript, text: OutputText) -> None:
        """A stop string stands in the text: it counts before any other reason, and ends the output with its token."""
        if text.num_tokens is not None:
            num_surplus = transcript.num_tokens - text.num_tokens
            transcript.num_tokens = text.num_tokens
            num_kept = len(delta.token_ids) - num_surplus
            delta.token_ids = delta.token_ids[:num_kept]
            if delta.logprobs is not None:
                delta.logprobs = delta.logprobs[:num_kept]
        self._finish_output(delta, FinishReason.STOP, text.stop, None)

    def _fail(self, delta: Delta, error: BaseException) -> None:
        """End one output whose tokens have no text, also where it had just ended otherwise; the others go on."""
        text = f"{self._tokenizer_name} cannot decode tokens: {type(error).__name__}: {error}"
        logger.error("request %s: %s", delta.request.request_id, text, exc_info=error)
        self._finish_output(delta, FinishReason.ERROR, None, text)

    def _finish_output(
        self, delta: Delta, reason: FinishReason, stop_reason: str | None, error: str | None
    ) -> None:
        if delta.ending is None:
            self._finish(delta.output, reason, stop_reason)
        delta.ending = Ending(reason, stop_reason, error, time.monotonic())

    def _end(self, delta: Delta, transcript: Transcript) -> None:
        """The last delta of an output; that of one that was not streamed holds all of it."""
        transcript.ending = delta.ending
        output, request = delta.output, delta.request
        if not request.is_streamed:
            first, end = output.num_prompt_tokens, output.num_prompt_tokens + transcript.num_tokens
            delta.token_ids = output.token_ids[first:end]
            delta.text = "".join(transcript.pieces)
            if output.logprobs is not None:
                delta.logprobs = output.logprobs[: transcript.num_tokens]
        request.num_untold -= 1
        delta.is_last = request.num_untold == 0
        if delta.is_last and (observers := self._observers()).wants_requests:
            observers.request_finished(whole_answer(request, delta))


def _shown(delta: Delta) -> Sequence[int]:
    """The tokens that are text: not the one that stopped the output, unless that was asked for."""
    output, token_ids = delta.output, delta.token_ids
    is_hidden = (
        delta.finish_reason is FinishReason.STOP
        and not output.sampling.include_stop
        and len(token_ids) > 0
        and token_ids[-1] in output.stop_ids
    )
    return token_ids[:-1] if is_hidden else token_ids


def _raiser(error: BaseException) -> Callable[[Sequence[int]], str]:
    """For an output whose text could not be begun."""

    def fail(token_ids: Sequence[int]) -> str:
        raise error

    return fail
