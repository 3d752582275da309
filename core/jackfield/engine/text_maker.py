"""From deltas of tokens to deltas with text: detokenizing and stop strings, on another thread than the stepping one."""

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
from jackfield.text.output_text import CONTEXT, OutputText
from jackfield.text.pieces import Pieces

logger = logging.getLogger(__name__)
# Engine.finish, or a function that calls it.
Finish = Callable[[OpenOutput, FinishReason, str | None], None]


class TextMaker:
    """Takes all deltas of an engine, in order, on one thread.

    When a stop string ends an output, steps in flight may have drawn more of its tokens: `finish` tells the engine, and
    later deltas of that output are dropped. If nobody follows an output, its text is made once, at its end.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        finish: Finish,
        observers: Callable[[], Observers],  # gives the current observers
        tokenizer_name: str = "the tokenizer",  # with its distribution
    ) -> None:
        self._tokenizer = tokenizer
        self._tokenizer_name = tokenizer_name
        self._finish = finish
        self._observers = observers
        self._pieces = Pieces(tokenizer)

    def make(self, deltas: Sequence[Delta]) -> list[Delta]:
        """Make the text of the deltas and return those to hand over. Observers are told of ended requests."""
        made = []
        known = self._pieces.get
        has_siblings = False
        for delta in deltas:
            transcript = delta.output.transcript
            if (
                transcript is not None
                and transcript.is_plain
                and delta.ending is None
                and delta.stop - delta.start == 1
                and (piece := known(delta.output.token_ids[delta.start])) is not None
            ):  # true of most tokens of an answer
                delta.text = piece
                transcript.pieces.append(piece)
            elif not self._write(delta):
                continue
            has_siblings = has_siblings or delta.more_follow
            made.append(delta)
        if has_siblings:
            mark_siblings(made)
        return made

    def _write(self, delta: Delta) -> bool:
        """Make the text of a delta; True if the delta is to be handed over."""
        transcript = delta.output.transcript
        if transcript is None:
            transcript = self._begin(delta.output)
        elif transcript.ending is not None:
            return False  # surplus tokens behind a stop string
        text = transcript.text
        try:
            news = self._text(delta, transcript)
        except FAULTS as error:
            self._fail(delta, error)
            news = ""
        if news:
            delta.text = news
            transcript.pieces.append(news)
        if text is not None and text.stop is not None:
            self._stop(delta, text)
        is_streamed = delta.request.is_streamed
        transcript.is_plain = text is not None and is_streamed and text.is_plain
        if delta.ending is not None:
            self._end(delta, transcript)
        return is_streamed or delta.ending is not None

    def _text(self, delta: Delta, transcript: Transcript) -> str:
        text, token_ids = transcript.text, delta.token_ids
        if text is None:
            return transcript.advance(token_ids)
        if transcript.is_plain:
            if delta.ending is None and len(token_ids) == 1:
                piece = self._pieces[token_ids[0]]  # the call above has filled it in
                if piece is not None:
                    return piece
            text.resume(delta.output.token_ids[max(0, delta.start - CONTEXT) : delta.start])
        return transcript.advance(token_ids) if delta.ending is None else text.finish(_shown(delta))

    def _begin(self, output: OpenOutput) -> Transcript:
        tokenizer = self._tokenizer
        output.transcript = transcript = Transcript(None)
        if tokenizer is not None and output.pooling is None:
            prompt = output.open_request.request.prompt_token_ids
            try:
                text = OutputText(tokenizer, prompt, output.sampling, self._pieces)
            except FAULTS as error:
                transcript.advance = _raiser(error)
            else:
                output.transcript = transcript = Transcript(text)
        return transcript

    def _stop(self, delta: Delta, text: OutputText) -> None:
        """Handle a stop string in the text. It counts before any other reason, and its token ends the output."""
        if text.num_tokens is not None:
            delta.stop = delta.output.num_prompt_tokens + text.num_tokens
        self._finish_output(delta, FinishReason.STOP, text.stop, None)

    def _fail(self, delta: Delta, error: BaseException) -> None:
        """End one output whose tokens cannot be decoded, even if it had just ended otherwise. Other outputs go on."""
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
        """Make the last delta of an output. If the output was not streamed, the delta holds all of it."""
        output, request = delta.output, delta.request
        transcript.num_tokens = delta.stop - output.num_prompt_tokens
        transcript.ending = delta.ending
        if not request.is_streamed:
            delta.start = output.num_prompt_tokens
            delta.text = "".join(transcript.pieces)
        request.num_untold -= 1
        delta.is_last = request.num_untold == 0
        if delta.is_last and (observers := self._observers()).wants_requests:
            observers.request_finished(whole_answer(request, delta))


def _shown(delta: Delta) -> Sequence[int]:
    """The tokens that appear as text. The stop token is left out, unless the request wants it."""
    output, token_ids = delta.output, delta.token_ids
    is_hidden = (
        delta.finish_reason is FinishReason.STOP
        and not output.sampling.include_stop
        and len(token_ids) > 0
        and token_ids[-1] in output.stop_ids
    )
    return token_ids[:-1] if is_hidden else token_ids


def _raiser(error: BaseException) -> Callable[[Sequence[int]], str]:
    """A detokenizer that raises `error`, for an output whose text could not be begun."""

    def fail(token_ids: Sequence[int]) -> str:
        raise error

    return fail
