"""From token ids to text, as tokens arrive: never half a character, and the same text however tokens are grouped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.text.pieces import Pieces

_REPLACEMENT = "\ufffd"  # bytes that are no whole character (yet) decode to this
_CONTEXT = 6  # tokens decoded as context, so that the first word keeps its leading space
_WINDOW = 12  # tokens decoded at once, before those with finished text are dropped
# Most tokens that are kept as context, or because they have no text (skipped special tokens).
_MAX_KEPT = 64
# After so many tokens, bytes that make no character are given out as they are.
_MAX_HELD = 16
_UNFINISHED = 3  # most bytes, and so most tokens, that a character can lack


class Detokenizer:
    """Gives the text that each token adds.

    A token with a piece of its own (`Tokenizer.piece`), behind finished text, costs one look-up. All other tokens are
    decoded in a sliding window. The window begins where a character begins, since bytes before a character can spoil
    it. Each token is decoded a bounded number of times.

    The text is that of tokens that arrive one by one: text that was given out stays, even if a tokenizer would decode
    all tokens at once differently (byte fallback turns a whole run of bytes into U+FFFD if one of them is wrong).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_token_ids: Sequence[int],
        *,
        skip_special_tokens: bool = True,
        pieces: Pieces | None = None,  # pieces of the tokenizer, shared by all requests
    ) -> None:
        self._decode = partial(tokenizer.decode, skip_special_tokens=skip_special_tokens)
        self._pieces = Pieces(tokenizer) if pieces is None else pieces
        # True: there is text and all of it was given out, so that pieces can follow; the window holds the last tokens.
        self._is_finished = False
        self._begin(prompt_token_ids)

    @property
    def is_finished(self) -> bool:
        """True if there is text and all of it was given out. Then the piece of the next token can be given out directly."""
        return self._is_finished

    def resume(self, before: Sequence[int]) -> None:
        """Go on behind tokens whose pieces were given out directly. `before` are the last of all tokens."""
        self._begin(before)
        self._is_finished = False

    def push(self, token_ids: Sequence[int]) -> str:
        """The text that becomes final with these tokens."""
        if len(token_ids) == 1:
            return self._push_one(token_ids[0])
        return "".join([self._push_one(token_id) for token_id in token_ids])

    def flush(self, token_ids: Sequence[int] = ()) -> str:
        """The text of these tokens and all text that was held back; no token follows."""
        if len(token_ids) > 1:
            whole = self._whole(token_ids)
            if whole is not None:
                return whole
        text = self.push(token_ids)
        return text if self._is_finished else text + self._news()[0]

    def _push_one(self, token_id: int) -> str:
        if self._is_finished:
            piece = self._pieces[token_id]
            if piece is not None:
                self._token_ids.append(token_id)
                if len(self._token_ids) > _MAX_KEPT:
                    del self._token_ids[:-_WINDOW]
                return piece
            self.resume(self._token_ids)
        self._token_ids.append(token_id)
        news, text = self._news()
        if text.endswith(_REPLACEMENT):
            return self._hold(text)
        self._out = text
        self._num_held = 0
        if news:
            self._drop_finished()
            self._is_finished = True
        elif len(self._token_ids) > self._clean + _MAX_KEPT:
            del self._token_ids[self._clean :]
        return news

    def _whole(self, token_ids: Sequence[int]) -> str | None:
        """The text of many tokens at once, if it equals their text one by one."""
        if self._num_held > _UNFINISHED:
            # One by one, the tokens may be given up before they make a character.
            return None
        if self._is_finished:
            self.resume(self._token_ids)
        text = self._decode([*self._token_ids, *token_ids])
        is_same = text.startswith(self._out) and _REPLACEMENT not in text[len(self._out) :]
        return text[len(self._out) :] if is_same else None

    def _begin(self, before: Sequence[int]) -> None:
        """Let the window hold the last tokens before the next ones, from the beginning of a character on."""
        self._num_held = 0  # tokens since text was given out
        self._token_ids: list[int] = []
        text = ""
        for size in range(_CONTEXT, _CONTEXT + _UNFINISHED + 1):
            token_ids = list(before[-size:])
            text = self._decode(token_ids)
            is_whole = len(token_ids) == len(before)  # True: nothing was cut off in front
            if is_whole or not text.startswith(_REPLACEMENT):
                self._token_ids = token_ids
                break
        else:
            text = ""
        # The text of the window that was given out. A character that the prompt leaves unfinished was not.
        self._out = text.rstrip(_REPLACEMENT)
        self._clean = len(self._token_ids)  # number of tokens at whose end all text was out

    def _news(self) -> tuple[str, str]:
        """The text of the window that was not given out yet, and all text of the window."""
        text = self._decode(self._token_ids)
        if not text.startswith(self._out):
            # The new bytes spoil the bytes before them, which were given out: they are decoded by themselves.
            del self._token_ids[: self._clean]
            self._out, self._clean = "", 0
            text = self._decode(self._token_ids)
        return text[len(self._out) :], text

    def _drop_finished(self) -> None:
        """Forget tokens before the last piece of text, which stays as context."""
        if len(self._token_ids) > _WINDOW:
            del self._token_ids[: self._clean]
            self._out = self._decode(self._token_ids)
        self._clean = len(self._token_ids)

    def _hold(self, text: str) -> str:
        """Hold back the end of the text, which may be an unfinished character, and give out the text before it."""
        end, num_out = len(text.rstrip(_REPLACEMENT)), len(self._out)
        self._num_held = 0 if end > num_out else self._num_held + 1
        if self._num_held <= _MAX_HELD:
            self._out = text[: max(end, num_out)]
            return text[num_out:end]
        # No character is that long: only the very end can still be unfinished.
        delta = text[num_out:-_UNFINISHED]
        del self._token_ids[: -_UNFINISHED - 1]
        kept = self._decode(self._token_ids)
        self._out = kept[: max(0, len(kept) - _UNFINISHED)]
        self._clean = len(self._token_ids)
        self._num_held = _MAX_HELD - 1
        return delta
