"""The logits processors that requests may name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.config.settings import did_you_mean
from jackfield.errors import RequestError
from jackfield.interfaces.logits_processor import LogitsProcessor


class Processors:
    """Checks with the cards of processors what requests ask of them."""

    def __init__(self, cards: Mapping[str, LogitsProcessor]) -> None:
        self._cards = cards

    def check(self, asked: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise RequestError for an unknown processor, or for arguments that it does not take."""
        for name, arguments in asked.items():
            if name not in self._cards:
                raise RequestError(
                    f"logits_processors: no processor {name!r} serves here{did_you_mean(name, self._cards)} "
                    f"There are: {', '.join(sorted(self._cards)) or 'none'}. Install one that does"
                )
            self._cards[name].read(name, arguments)
