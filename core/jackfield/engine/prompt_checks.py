"""Checks of a prompt: its token ids and its length, which for a text far too long is known before all of it is encoded."""

from __future__ import annotations

from collections.abc import Callable, Collection

from jackfield.errors import RequestError

_FIRST_CHARACTERS = 1 << 16  # texts up to this length are encoded at once, in a few milliseconds
_CHARACTERS_PER_TOKEN = 8  # about twice the figure of prose
# Each part that is tried is so many times longer than the last: all tries together cost a third more than the last one.
_GROWTH = 4
_SLACK = 64  # tokens that may differ because the text is cut


def check_prompt_length(num_tokens: int, max_length: int, *, has_output: bool = True) -> None:
    """Raise RequestError for a prompt that is too long, or that leaves no place for an output if there must be one."""
    most = max_length - 1 if has_output else max_length
    if num_tokens > most:
        what = "tokens, prompt and output" if has_output else "tokens"
        raise RequestError(
            f"the prompt has {num_tokens} tokens; model.max_length = {max_length} {what}, "
            f"so a prompt can have at most {most}. Shorten it, or raise model.max_length if the "
            "model allows more"
        )


def check_vocabulary(what: str, token_ids: Collection[int], vocab_size: int) -> None:
    """Raise RequestError for an id that the model does not know; `what` has it, in words."""
    if not token_ids or (min(token_ids) >= 0 and max(token_ids) < vocab_size):
        return
    bad = next(token_id for token_id in token_ids if not 0 <= token_id < vocab_size)
    raise RequestError(
        f"{what} has the token id {bad}; the model's vocabulary is 0 to {vocab_size - 1}. "
        "Was it made with another model's tokenizer?"
    )


def check_text_length(encode: Callable[[str], list[int]], text: str, max_length: int) -> None:
    """Raise RequestError for a text if one of its parts already has twice the tokens that the whole text may have.

    Short texts are not checked. The time grows with `max_length` and not with the text: a prompt of 50 MB is refused
    in a fraction of a second.
    """
    for size in _parts(text, max_length):
        if len(found := encode(text[:size])) > 2 * max_length + _SLACK:
            raise RequestError(
                f"the prompt has more than {max_length} tokens: the first {size} of its {len(text)} characters have "
                f"{len(found)}; model.max_length = {max_length} tokens. Shorten it, or raise model.max_length if the model "
                "allows more"
            )


def encode_end(encode: Callable[[str], list[int]], text: str, num_tokens: int) -> list[int]:
    """At most the last `num_tokens` token ids of a text, without encoding much more of it."""
    for size in _parts(text, num_tokens):
        if len(found := encode(text[-size:])) > 2 * num_tokens + _SLACK:
            return found[-num_tokens:]
    return encode(text)[-num_tokens:]


def _parts(text: str, num_tokens: int) -> list[int]:
    """Sizes, in characters, of the parts of a text that are tried before the whole text."""
    sizes, size = [], max(_FIRST_CHARACTERS, _CHARACTERS_PER_TOKEN * num_tokens)
    while size < len(text):
        sizes.append(size)
        size *= _GROWTH
    return sizes
