"""Serving without a server: answers endpoints, and keeps what they asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from jackfield.interfaces.endpoint import Piece, Prompt, Scope, Serving

MODEL = "tiny"


class ScriptedServing(Serving):
    """Answers everything with `text`, one character a piece, or raises `error` instead of the first piece."""

    def __init__(self, text: str = "Hello.", error: Exception | None = None) -> None:
        self.asked: list[Prompt] = []
        self.num_given = 0  # number of pieces that were given
        self.num_open = 0  # number of generators that have begun and not ended
        self._text = text
        self._error = error

    @property
    def models(self) -> tuple[str, ...]:
        """A single model."""
        return (MODEL,)

    async def generate(
        self,
        scope: Scope,
        prompt: Prompt,
        sampling: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """The text. After each character other tasks can run."""
        self.asked.append(prompt)
        if self._error is not None:
            raise self._error
        self.num_open += 1
        try:
            for number, character in enumerate(self._text, 1):
                await asyncio.sleep(0)
                self.num_given += 1
                yield Piece(
                    index=0,
                    text=character,
                    token_ids=[ord(character)],
                    finish_reason="stop" if number == len(self._text) else None,
                    num_prompt_tokens=3,
                )
        finally:
            self.num_open -= 1
