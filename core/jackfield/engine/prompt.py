"""What a user may give as a prompt, and how to tell one prompt from several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from jackfield.errors import RequestError

ChatMessage = Mapping[str, Any]  # {"role": ..., "content": ...}
# A text, token ids (a list, or an array of one axis), a conversation, or a mapping with one of these under its name.
Prompt = str | Sequence[int] | Sequence[ChatMessage] | Mapping[str, Any]
Prompts = Prompt | Sequence[Prompt] | Iterator[Prompt]


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts that a model reads together to score how well they fit each other."""

    first: str
    second: str


KINDS = (
    'text, a list of token ids, or a list of chat messages such as {"role": "user", "content": "Hello"}; each also as '
    '{"prompt": ...}, {"prompt_token_ids": ...} or {"messages": ...}'
)
# Keys of a prompt that is a mapping, as in vLLM.
_NAMES = ("messages", "prompt_token_ids", "prompt")


def is_single(prompts: Prompts) -> TypeGuard[Prompt]:
    """True if this is one prompt. An empty list is an empty batch of prompts."""
    if isinstance(prompts, str | Mapping):
        return True
    if isinstance(prompts, Iterator):
        return False
    if num_axes := getattr(prompts, "ndim", 0):
        return bool(num_axes == 1)
    given: Any = prompts
    if not isinstance(given, Sequence):
        return True  # `plain_prompt` refuses it
    if len(prompts) == 0:
        return False
    first: Any = prompts[0]
    if isinstance(first, Mapping):
        return not _is_named(first)
    return not isinstance(first, str | Sequence) and not getattr(first, "ndim", 0)


def is_chat(prompt: Sequence[Any]) -> TypeGuard[Sequence[ChatMessage]]:
    """True if this is a conversation."""
    return len(prompt) > 0 and isinstance(prompt[0], Mapping)


def plain_prompt(prompt: Any) -> str | Sequence[Any]:
    """The text, token ids or messages of a prompt: taken out of a mapping, and arrays turned into lists.

    Raises RequestError if it is no prompt.
    """
    if isinstance(prompt, Mapping):
        prompt = _named(prompt)
    if hasattr(prompt, "tolist") and not isinstance(prompt, str):
        prompt = prompt.tolist()  # an array of NumPy or torch
    if not isinstance(prompt, Sequence) or isinstance(prompt, bytes | bytearray):
        raise RequestError(f"a prompt must be {KINDS}; got {type(prompt).__name__}")
    return prompt


def _is_named(value: Mapping[str, Any]) -> bool:
    return "role" not in value and any(name in value for name in _NAMES)


def _named(prompt: Mapping[str, Any]) -> Any:
    if not _is_named(prompt):
        keys = ", ".join(map(repr, prompt)) or "none"
        raise RequestError(f"a prompt must be {KINDS}; got a mapping with the keys {keys}")
    name = next(name for name in _NAMES if name in prompt)
    # The text that the token ids were made of may stand beside them.
    also = {name, "prompt"} if name == "prompt_token_ids" else {name}
    others = sorted(key for key in prompt.keys() - also if prompt[key] is not None)
    if others:
        raise RequestError(
            f"a prompt with {name!r} cannot have {', '.join(map(repr, others))} too. Leave it out; sampling fields "
            "belong to SamplingParams"
        )
    return prompt[name]
