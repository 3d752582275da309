"""Logits processors: a request names an installed plugin and its arguments. No code comes with a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from jackfield.config.settings import did_you_mean
from jackfield.errors import RequestError
from jackfield.interfaces.card import Card


class LogitsProcessor(Card):
    """The card, as the core sees it. The code that runs belongs to a runtime; a card extends the class that its
    runtime names.

    Every installed and allowed processor serves; a request names it in `SamplingParams.logits_processors`.
    """

    # A frozen dataclass of the arguments that a request may give: numbers, texts, and tuples of them. Its __post_init__
    # raises ValueError for values that make no sense.
    arguments: ClassVar[type]

    def read(self, name: str, values: Mapping[str, Any]) -> Any:
        """The arguments of a request as an instance of `arguments`. Raises RequestError if they are not allowed."""
        known = [item.name for item in fields(self.arguments)]
        for word in values:
            if word not in known:
                raise RequestError(
                    f"logits_processors.{name}: unknown argument {word!r}{did_you_mean(word, known)} "
                    f"Arguments: {', '.join(known) or 'none'}"
                )
        plain = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        try:
            return self.arguments(**plain)
        except (TypeError, ValueError) as error:
            raise RequestError(f"logits_processors.{name}: {error}") from error
