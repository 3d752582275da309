"""The text and tokens of one output so far, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jackfield.request import FinishReason
from jackfield.text.output_text import OutputText


class Ending:
    """How an output ended."""

    __slots__ = ("error", "finish_reason", "stop_reason", "time_s")

    def __init__(
        self,
        finish_reason: FinishReason,
        stop_reason: str | int | None,
        error: str | None,
        time_s: float,
    ) -> None:
        self.finish_reason = finish_reason
        self.stop_reason = stop_reason  # the stop string or token id
        self.error = error  # what failed, for FinishReason.ERROR
        self.time_s = time_s  # in the time of time.monotonic()


class Transcript:
    """Written only by the text maker. Readers on other threads keep their own positions; the lists only grow."""

    __slots__ = ("advance", "ending", "is_plain", "num_tokens", "pieces", "text")

    def __init__(self, text: OutputText | None) -> None:
        self.text = text  # None: the model has no tokenizer
        # Returns the text to show for the next tokens.
        self.advance: Callable[[Sequence[int]], str] = _no_text if text is None else text.advance
        self.is_plain = False  # True: `text` need not be asked about a token with a piece
        self.pieces: list[str] = []  # pieces of the text; none is empty
        self.ending: Ending | None = None
        # Set when the output has ended. Behind a stop string the engine may have drawn more tokens.
        self.num_tokens = 0


def _no_text(token_ids: Sequence[int]) -> str:
    return ""
