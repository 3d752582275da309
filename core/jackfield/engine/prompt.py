"""What a user may give as a prompt, and how one prompt is told from several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

ChatMessage = Mapping[str, Any]  # {"role": ..., "content": ...}
Prompt = str | Sequence[int] | Sequence[ChatMessage]  # text, token ids, or a conversation
Prompts = Prompt | Sequence[Prompt]


def is_single(prompts: Prompts) -> TypeGuard[Prompt]:
    """True where this is one prompt; an empty list is a batch of none."""
    if isinstance(prompts, str):
        return True
    return len(prompts) > 0 and not isinstance(prompts[0], (str, Sequence))


def is_chat(prompt: Sequence[Any]) -> TypeGuard[Sequence[ChatMessage]]:
    """True where this is a conversation."""
    return len(prompt) > 0 and isinstance(prompt[0], Mapping)
