"""Token ids to text, as they come: never half a character, and the same text as when all are decoded at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jackfield.interfaces.tokenizer import Tokenizer

_REPLACEMENT = "\ufffd"  # what bytes decode to that are no whole character (yet)
_CONTEXT = 6  # prompt tokens that are decoded along, so that the first word keeps its leading space
_WINDOW = 12  # tokens that are decoded in one go before those with finished text are dropped
_MAX_SILENT = 64  # tokens without any text (skipped special ones) that are kept
_MAX_HELD = 16  # tokens after which bytes that make no character are taken for what they are
_UNFINISHED = 3  # bytes, so at most as many tokens, that a character can lack


class Detokenizer:
    """Decodes a sliding window of tokens and gives out what was added to its text.

    The window begins where a character begins, since bytes in front of a character can spoil it. Each token is
    decoded a bounded number of times.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_token_ids: Sequence[int],
        *,
        skip_special_tokens: bool = True,
    ) -> None:
        self._decode = partial(tokenizer.decode, skip_special_tokens=skip_special_tokens)
        self._token_ids, text = self._context(prompt_token_ids)
        # Characters of the window's text that are out. A character that the prompt leaves unfinished is not.
        self._num_out = len(text.rstrip(_REPLACEMENT))
        self._clean = len(self._token_ids)  # tokens at whose end all text was out
        self._num_held = 0  # tokens since text was given out

    def push(self, token_ids: Sequence[int]) -> str:
        """The text that is final with these tokens."""
        if not token_ids:
            return ""
        self._token_ids.extend(token_ids)
        text = self._decode(self._token_ids)
        if text.endswith(_REPLACEMENT):
            return self._hold(text) if len(token_ids) == 1 else self._push_singly(token_ids)
        delta = text[self._num_out :]
        self._num_out = len(text)
        self._num_held = 0
        if delta:
            self._drop_finished()
        elif len(self._token_ids) > self._clean + _MAX_SILENT:
            del self._token_ids[self._clean :]
        return delta

    def flush(self, token_ids: Sequence[int] = ()) -> str:
        """The text of these tokens and of all that was held back: nothing follows."""
        self._token_ids.extend(token_ids)
        text = self._decode(self._token_ids)
        delta = text[self._num_out :]
        self._num_out = len(text)
        return delta

    def _context(self, prompt_token_ids: Sequence[int]) -> tuple[list[int], str]:
        """The last tokens of the prompt, beginning with a character, and their text."""
        for size in range(_CONTEXT, _CONTEXT + _UNFINISHED + 1):
            token_ids = list(prompt_token_ids[-size:])
            text = self._decode(token_ids)
            is_whole = len(token_ids) == len(prompt_token_ids)  # then nothing was cut in front
            if is_whole or not text.startswith(_REPLACEMENT):
                return token_ids, text
        return [], ""

    def _drop_finished(self) -> None:
        """Forget tokens before the last piece of text, which stays as context."""
        if len(self._token_ids) > _WINDOW:
            del self._token_ids[: self._clean]
            self._num_out = len(self._decode(self._token_ids))
        self._clean = len(self._token_ids)

    def _push_singly(self, token_ids: Sequence[int]) -> str:
        """The characters before an unfinished one can only be seen at their ends."""
        del self._token_ids[-len(token_ids) :]
        return "".join([self.push((token_id,)) for token_id in token_ids])

    def _hold(self, text: str) -> str:
        """The end of the text may be an unfinished character: give out what stands before it."""
        end = len(text.rstrip(_REPLACEMENT))
        self._num_held = 0 if end > self._num_out else self._num_held + 1
        if self._num_held <= _MAX_HELD:
            delta = text[self._num_out : end]
            self._num_out = max(self._num_out, end)
            return delta
        # No character is that long: only the very end can still be one.
        delta = text[self._num_out : -_UNFINISHED]
        del self._token_ids[: -_UNFINISHED - 1]
        self._num_out = max(0, len(self._decode(self._token_ids)) - _UNFINISHED)
        self._clean = len(self._token_ids)
        self._num_held = _MAX_HELD - 1
        return delta
