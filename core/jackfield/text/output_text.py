"""The text of one output while it grows: its detokenizer and its stop strings."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.sampling import SamplingParams
from jackfield.text.detokenizer import Detokenizer
from jackfield.text.pieces import Pieces
from jackfield.text.stop_strings import StopFilter

CONTEXT = 16  # last tokens before the next ones, which a detokenizer may look at


class OutputText:
    """Takes the tokens of one output in order, and gives the text that may be shown."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_token_ids: Sequence[int],
        sampling: SamplingParams,
        pieces: Pieces | None = None,
    ) -> None:
        detokenizer = Detokenizer(
            tokenizer,
            prompt_token_ids[-CONTEXT:],
            skip_special_tokens=sampling.skip_special_tokens,
            pieces=pieces,
        )
        self._detokenizer = detokenizer
        self._stops: StopFilter | None = None
        self._min_tokens = sampling.min_tokens
        self._num_tokens = 0  # number of tokens so far; counted if there are stop strings
        self.stop: str | None = None  # the stop string that was found
        self.num_tokens: int | None = None  # tokens of the output if a stop string ended it
        # Returns the text to show for the next tokens.
        self.advance = detokenizer.push
        if sampling.stop:
            self._stops = StopFilter(sampling.stop, include_stop=sampling.include_stop)
            self.advance = self._filtered

    @property
    def is_plain(self) -> bool:
        """True if only the piece of the next token is needed: no text is held back and no stop string is searched for."""
        return self._stops is None and self._detokenizer.is_finished

    def resume(self, before: Sequence[int]) -> None:
        """Go on behind tokens that were plain. `before` are the last of all tokens."""
        self._detokenizer.resume(before)

    def finish(self, token_ids: Sequence[int]) -> str:
        """The text of the last tokens, and all text that was held back. The output has ended."""
        if self._stops is None:
            return self._detokenizer.flush(token_ids)
        text = self._filtered(token_ids)
        if self.stop is None:
            last, self.stop = self._stops.push(self._detokenizer.flush())
            text += last
        return text if self.stop is not None else text + self._stops.flush()

    def _filtered(self, token_ids: Sequence[int]) -> str:
        """Pass tokens through the stop strings one by one, since the output ends with one of these tokens."""
        assert self._stops is not None
        shown = ""
        for token_id in token_ids:
            self._num_tokens += 1
            delta = self._detokenizer.push((token_id,))
            if self._num_tokens < self._min_tokens:
                shown += delta  # min_tokens are not reached yet
                continue
            text, self.stop = self._stops.push(delta)
            shown += text
            if self.stop is not None:
                self.num_tokens = self._num_tokens
                break
        return shown
