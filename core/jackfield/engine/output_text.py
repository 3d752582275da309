"""The text of one output while it grows: detokenizer, stop strings, and what has been shown."""

from __future__ import annotations

from jackfield.engine.detokenizer import Detokenizer
from jackfield.engine.stop_strings import StopFilter
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.request import FinishReason
from jackfield.scheduler import Request

_CONTEXT = 16  # last prompt tokens that a detokenizer may look at


class OutputText:
    """Follows the tokens of one request. Nothing is decoded before `advance` or `finish` is called."""

    def __init__(self, request: Request, tokenizer: Tokenizer) -> None:
        sampling, num_prompt = request.sampling, request.num_prompt_tokens
        self._request = request
        self._num_seen = num_prompt  # of request.token_ids
        self._detokenizer = Detokenizer(
            tokenizer,
            request.token_ids[max(0, num_prompt - _CONTEXT) : num_prompt],
            skip_special_tokens=sampling.skip_special_tokens,
        )
        self._stops = (
            StopFilter(sampling.stop, include_stop=sampling.include_stop) if sampling.stop else None
        )
        self.stop: str | None = None  # the stop string that was found
        self.num_tokens: int | None = None  # of the output, where the stop string ended it

    def advance(self) -> str:
        """The text to be shown for the tokens that came since the last call."""
        first, token_ids = self._new_token_ids()
        if self._stops is None:
            return self._detokenizer.push(token_ids)
        return self._filtered(self._stops, first, token_ids)

    def finish(self) -> str:
        """The rest of the text: the request has ended, or is about to."""
        first, token_ids = self._new_token_ids()
        if token_ids and self._hides_last():
            token_ids.pop()
        if self._stops is None:
            return self._detokenizer.flush(token_ids)
        text = self._filtered(self._stops, first, token_ids)
        if self.stop is None:
            last, self.stop = self._stops.push(self._detokenizer.flush())
            text += last
        return text if self.stop is not None else text + self._stops.flush()

    def _filtered(self, stops: StopFilter, first: int, token_ids: list[int]) -> str:
        """Pass tokens, of which the first is output token number `first`, through the stop strings."""
        shown = ""
        for number, token_id in enumerate(token_ids, first):
            delta = self._detokenizer.push((token_id,))
            if number < self._request.sampling.min_tokens:
                shown += delta  # too early to stop
                continue
            text, self.stop = stops.push(delta)
            shown += text
            if self.stop is not None:
                self.num_tokens = number
                break
        return shown

    def _new_token_ids(self) -> tuple[int, list[int]]:
        """Output tokens that were not seen yet, and the number of the first (from 1)."""
        first = self._num_seen - self._request.num_prompt_tokens + 1
        token_ids = self._request.token_ids[self._num_seen :]
        self._num_seen += len(token_ids)
        return first, token_ids

    def _hides_last(self) -> bool:
        """True where the last token is the one that stopped it, which is no part of the text."""
        request = self._request
        return (
            request.finish_reason is FinishReason.STOP
            and not request.sampling.include_stop
            and request.token_ids[-1] in request.stop_ids
        )
