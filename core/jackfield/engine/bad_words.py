"""Words that an answer must not have, as token ids."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.errors import RequestError
from jackfield.interfaces.tokenizer import Tokenizer


def bad_words_as_ids(
    words: Sequence[str | tuple[int, ...]], tokenizer: Tokenizer
) -> tuple[tuple[int, ...], ...]:
    """Each word as token ids. A text also gives the ids of its spelling behind a space, if these differ.

    As in vLLM, the spelling with a space counts if it has as many tokens and another first token. Raises RequestError
    for a text that the tokenizer encodes to no token.
    """
    found: dict[tuple[int, ...], None] = {}
    for word in words:
        if isinstance(word, tuple):
            found[word] = None
            continue
        plain, spaced = (
            tuple(tokenizer.encode(before + word.lstrip(), add_special_tokens=False))
            for before in ("", " ")
        )
        if not plain:
            raise RequestError(f"bad_words: this model's tokenizer has no token for {word!r:.200}")
        found[plain] = None
        if len(spaced) == len(plain) and spaced[0] != plain[0]:
            found[spaced] = None
    return tuple(found)
