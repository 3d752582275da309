"""The messages of a chat, and how they are kept within the context of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jackfield.errors import RequestError

Message = dict[str, str]


class Conversation:
    """The messages of a chat. A system message stays in front."""

    def __init__(self, system: str | None) -> None:
        self._system = system
        self._turns: list[Message] = []

    @property
    def messages(self) -> list[Message]:
        """All messages, in the form of a chat template's input."""
        first = [{"role": "system", "content": self._system}] if self._system else []
        return [*first, *self._turns]

    def clear(self) -> None:
        """Forget all messages but the system message."""
        self._turns.clear()

    def set_system(self, text: str) -> None:
        """Set another system message, or none. Other messages stay."""
        self._system = text or None

    def ask(self, text: str) -> None:
        """Add a message of the user."""
        self._turns.append({"role": "user", "content": text})

    def answer(self, text: str) -> None:
        """Add a message of the model. A question without an answer is forgotten, since templates expect turns."""
        if text:
            self._turns.append({"role": "assistant", "content": text})
        else:
            self._turns.pop()

    def fit(
        self, encode: Callable[[Sequence[Message]], list[int]], room: int
    ) -> tuple[list[int], int]:
        """The prompt with at most `room` tokens, and how many of the oldest messages were left out for it.

        These messages are also left out of all later prompts. Raises RequestError if the last message alone is too
        long.
        """
        num_left_out = 0
        while len(token_ids := encode(self.messages)) > room:
            oldest = self._oldest()
            if not oldest:
                raise RequestError(
                    f"this message makes a prompt of {len(token_ids)} tokens; {room} are allowed, so that an answer "
                    "fits behind it. Shorten it, or raise model.max_length if the model allows it"
                )
            del self._turns[:oldest]
            num_left_out += oldest
        return token_ids, num_left_out

    def save(self, path: Path) -> None:
        """Write the messages as JSON. Raises OSError."""
        path.write_text(
            json.dumps(self.messages, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )

    def _oldest(self) -> int:
        """Number of messages before the second question; 0 if there is none."""
        questions = [index for index, turn in enumerate(self._turns) if turn["role"] == "user"]
        return questions[1] if len(questions) > 1 else 0
