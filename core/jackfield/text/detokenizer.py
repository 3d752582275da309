"""Token ids to text, as they come: never half a character, and the same text however the tokens are cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.text.pieces import Pieces

_REPLACEMENT = "\ufffd"  # what bytes decode to that are no whole character (yet)
_CONTEXT = 6  # tokens that are decoded along, so that the first word keeps its leading space
_WINDOW = 12  # tokens that are decoded in one go before those with finished text are dropped
_MAX_KEPT = (
    64  # tokens that are kept as context, or because they have no text (skipped special ones)
)
_MAX_HELD = 16  # tokens after which bytes that make no character are taken for what they are
_UNFINISHED = 3  # bytes, so at most as many tokens, that a character can lack


class Detokenizer:
    """Gives out what each token adds to the text.

    A token with a piece of its own (`Tokenizer.piece`) costs one look-up, behind text that is finished. All others
    are decoded in a sliding window, which begins where a character begins, since bytes in front of a character can
    spoil it. Each token is decoded a bounded number of times.

    The text is defined by tokens that come one by one: what was given out stays, also where a tokenizer would decode
    the tokens differently in one go (byte fallback turns a whole run of bytes into U+FFFD where one of them is wrong).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_token_ids: Sequence[int],
        *,
        skip_special_tokens: bool = True,
        pieces: Pieces | None = None,  # of the tokenizer, shared by all requests
    ) -> None:
        self._decode = partial(tokenizer.decode, skip_special_tokens=skip_special_tokens)
        self._pieces = Pieces(tokenizer) if pieces is None else pieces
        # True: all text is out and there is some, so that pieces can follow; the window holds the last tokens.
        self._is_finished = False
        self._begin(prompt_token_ids)

    @property
    def is_finished(self) -> bool:
        """True if all text is out, and there is some: a piece of the next token can be given out without asking."""
        return self._is_finished

    def resume(self, before: Sequence[int]) -> None:
        """Go on behind tokens whose pieces were given out without asking; `before` are the last of all tokens."""
        self._begin(before)
        self._is_finished = False

    def push(self, token_ids: Sequence[int]) -> str:
        """The text that is final with these tokens."""
        if len(token_ids) == 1:
            return self._push_one(token_ids[0])
        return "".join([self._push_one(token_id) for token_id in token_ids])

    def flush(self, token_ids: Sequence[int] = ()) -> str:
        """The text of these tokens and of all that was held back: nothing follows."""
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
        """The text of many tokens in one go, if that is the text that they have one by one."""
        if self._num_held > _UNFINISHED:
            return None  # one by one, they may be given up before they make a character
        if self._is_finished:
            self.resume(self._token_ids)
        text = self._decode([*self._token_ids, *token_ids])
        is_same = text.startswith(self._out) and _REPLACEMENT not in text[len(self._out) :]
        return text[len(self._out) :] if is_same else None

    def _begin(self, before: Sequence[int]) -> None:
        """Let the window hold the last tokens before those that come, beginning with a character."""
        self._num_held = 0  # tokens since text was given out
        self._token_ids: list[int] = []
        text = ""
        for size in range(_CONTEXT, _CONTEXT + _UNFINISHED + 1):
            token_ids = list(before[-size:])
            text = self._decode(token_ids)
            is_whole = len(token_ids) == len(before)  # then nothing was cut in front
            if is_whole or not text.startswith(_REPLACEMENT):
                self._token_ids = token_ids
                break
        else:
            text = ""
        # The window's text that is out. A character that the prompt leaves unfinished is not.
        self._out = text.rstrip(_REPLACEMENT)
        self._clean = len(self._token_ids)  # tokens at whose end all text was out

    def _news(self) -> tuple[str, str]:
        """What the window's text has beyond what is out, and all of it."""
        text = self._decode(self._token_ids)
        if not text.startswith(self._out):
            # The new bytes have spoiled those before them, which are out: they stand for themselves.
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
        """The end of the text may be an unfinished character: give out what stands before it."""
        end, num_out = len(text.rstrip(_REPLACEMENT)), len(self._out)
        self._num_held = 0 if end > num_out else self._num_held + 1
        if self._num_held <= _MAX_HELD:
            self._out = text[: max(end, num_out)]
            return text[num_out:end]
        # No character is that long: only the very end can still be one.
        delta = text[num_out:-_UNFINISHED]
        del self._token_ids[: -_UNFINISHED - 1]
        kept = self._decode(self._token_ids)
        self._out = kept[: max(0, len(kept) - _UNFINISHED)]
        self._clean = len(self._token_ids)
        self._num_held = _MAX_HELD - 1
        return delta
