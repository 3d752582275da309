"""How long a prompt may be, and how one that is far too long is found out before all of it is encoded."""

from __future__ import annotations

from collections.abc import Callable

from jackfield.errors import RequestError

_FIRST_CHARACTERS = 1 << 16  # that are always encoded at once, a few milliseconds of work
_CHARACTERS_PER_TOKEN = 8  # about twice what prose has
_GROWTH = 4  # of the part that is encoded, from one try to the next: all tries cost a third more than the last
_SLACK = 64  # tokens that may be other ones where a text is cut


def check_prompt_length(num_tokens: int, max_length: int, *, has_output: bool = True) -> None:
    """Raise RequestError for a prompt that leaves no place for an output, where there is one, or is too long by itself."""
    most = max_length - 1 if has_output else max_length
    if num_tokens > most:
        what = "tokens, prompt and output" if has_output else "tokens"
        raise RequestError(
            f"the prompt has {num_tokens} tokens; model.max_length = {max_length} {what}, "
            f"so a prompt can have at most {most}. Shorten it, or raise model.max_length if the "
            "model allows more"
        )


def check_text_length(encode: Callable[[str], list[int]], text: str, max_length: int) -> None:
    """Raise RequestError for a text of which a part has twice the tokens that the whole may have.

    Short texts are not looked at. What this takes grows with `max_length` and not with the text: a prompt of 50 MB is
    refused in a fraction of a second.
    """
    for size in _parts(text, max_length):
        if len(found := encode(text[:size])) > 2 * max_length + _SLACK:
            raise RequestError(
                f"the prompt has more than {max_length} tokens: the first {size} of its {len(text)} characters have "
                f"{len(found)}; model.max_length = {max_length} tokens. Shorten it, or raise model.max_length if the model "
                "allows more"
            )


def encode_end(encode: Callable[[str], list[int]], text: str, num_tokens: int) -> list[int]:
    """The last `num_tokens` token ids of a text, at most, without encoding much more than that."""
    for size in _parts(text, num_tokens):
        if len(found := encode(text[-size:])) > 2 * num_tokens + _SLACK:
            return found[-num_tokens:]
    return encode(text)[-num_tokens:]


def _parts(text: str, num_tokens: int) -> list[int]:
    """Sizes of parts of a text that are tried before all of it, in characters."""
    sizes, size = [], max(_FIRST_CHARACTERS, _CHARACTERS_PER_TOKEN * num_tokens)
    while size < len(text):
        sizes.append(size)
        size *= _GROWTH
    return sizes
