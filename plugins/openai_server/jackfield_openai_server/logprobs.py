"""Log probabilities in the forms of OpenAI's two kinds of completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jackfield_openai_server.protocol.chat import ChatLogprobs, TokenLogprob, TopLogprob
from jackfield_openai_server.protocol.completions import CompletionLogprobs
from jackfield_openai_server.text import TextService

# Id, logprob, rank, likely ids, their logprobs.
Entry = tuple[int, float, int, list[int], list[float]]
LEAST = -9999.0  # JSON has no minus infinity; vLLM writes the same number


class TokenNames:
    """The texts of tokens. With `as_ids` these are their ids, for tokens whose text is not unique."""

    def __init__(self, text: TextService, *, as_ids: bool) -> None:
        self._text = text
        self._as_ids = as_ids

    def name(self, token_id: int) -> str:
        """The text of one token."""
        return f"token_id:{token_id}" if self._as_ids else self._text.token(token_id)


def chat_logprobs(entries: Sequence[Entry], names: TokenNames, num_top: int) -> ChatLogprobs:
    """Log probabilities of the tokens of a chat completion."""
    return ChatLogprobs([_token(entry, names, num_top) for entry in entries])


def _token(entry: Entry, names: TokenNames, num_top: int) -> TokenLogprob:
    token_id, logprob, _, top_ids, top = entry
    name = names.name(token_id)
    likely = [
        TopLogprob(text := names.name(top_id), max(value, LEAST), list(text.encode()))
        for top_id, value in zip(top_ids[:num_top], top, strict=False)
    ]
    return TokenLogprob(name, max(logprob, LEAST), list(name.encode()), likely)


def completion_logprobs(
    entries: Sequence[Entry | None],
    token_ids: Sequence[int],
    names: TokenNames,
    offset: int,
    num_top: int,
) -> CompletionLogprobs:
    """Log probabilities of the tokens of a completion. None for the first token of a prompt, which follows nothing."""
    found = CompletionLogprobs([], [], [], [])
    assert found.top_logprobs is not None
    for entry, token_id in zip(entries, token_ids, strict=True):
        name = names.name(token_id)
        found.tokens.append(name)
        found.text_offset.append(offset)
        offset += len(name)
        found.token_logprobs.append(None if entry is None else max(entry[1], LEAST))
        found.top_logprobs.append(None if entry is None else _likely(entry, names, num_top))
    return found


def _likely(entry: Entry, names: TokenNames, num_top: int) -> dict[str, float]:
    """The likely tokens, and the token at this position."""
    token_id, logprob, _, top_ids, top = entry
    likely = zip(top_ids[:num_top], top, strict=False)
    found = {names.name(top_id): max(value, LEAST) for top_id, value in likely}
    found.setdefault(names.name(token_id), max(logprob, LEAST))
    return found


def prompt_logprobs(entries: Sequence[Entry | None], names: TokenNames) -> list[Any]:
    """Log probabilities of a prompt in the form of vLLM: a table for each token, by token id."""
    return [None if entry is None else _by_id(entry, names) for entry in entries]


def _by_id(entry: Entry, names: TokenNames) -> dict[str, Any]:
    token_id, logprob, rank, top_ids, top = entry
    ranked = [(i, value, n) for n, (i, value) in enumerate(zip(top_ids, top, strict=True), 1)]
    found = {
        str(i): {"logprob": max(value, LEAST), "rank": n, "decoded_token": names.name(i)}
        for i, value, n in ranked
    }
    own = {"logprob": max(logprob, LEAST), "rank": rank, "decoded_token": names.name(token_id)}
    return {str(token_id): own} | found
