"""The text of single tokens, kept once a tokenizer was asked: most tokens of an answer need no decoding."""

from __future__ import annotations

from jackfield.interfaces.tokenizer import Tokenizer


class Pieces(dict[int, str | None]):
    """Token id to `Tokenizer.piece` of it. A look-up takes a tenth of the time of a call of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, token_id: int) -> str | None:
        assert self._tokenizer is not None, "without a tokenizer nothing has text"
        piece = self._tokenizer.piece(token_id)
        if piece is not None and not isinstance(piece, str):
            raise TypeError(f"piece() must return a str or None, got {piece!r:.200}")
        self[token_id] = piece
        return piece
