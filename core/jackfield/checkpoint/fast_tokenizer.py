"""The tokenizer that all file formats produce: one of the `tokenizers` library, with a chat template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import processors

from jackfield.checkpoint.chat_template import ChatTemplate
from jackfield.checkpoint.decoders import joins_texts
from jackfield.errors import RequestError
from jackfield.interfaces.tokenizer import Tokenizer

# Texts with more characters are encoded as a batch of one, because only that releases Python's lock for other threads.
_LONG = 4096
_REPLACEMENT = "\ufffd"  # bytes that are no whole character decode to this


class FastTokenizer(Tokenizer):
    """Encodes and decodes with `backend`. Importing this module imports `tokenizers`."""

    def __init__(
        self,
        backend: Backend,
        *,
        end_token_ids: Sequence[int] = (),
        chat_template: ChatTemplate | None = None,
    ) -> None:
        self._backend = backend
        self._end_token_ids = tuple(dict.fromkeys(end_token_ids))
        self._chat_template = chat_template
        self._vocab_size = backend.get_vocab_size(with_added_tokens=True)
        self._special_ids = {
            token_id
            for token_id, token in backend.get_added_tokens_decoder().items()
            if token.special
        }
        # Tokens with text, which are put before a token to find its piece. Empty: there are no pieces.
        self._before = self.encode("a", add_special_tokens=False) if joins_texts(backend) else []
        # Files saved in training may truncate; a prompt is never cut silently.
        backend.no_truncation()
        backend.no_padding()

    @property
    def backend(self) -> Backend:
        """The wrapped object, for functions that this interface lacks."""
        return self._backend

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return self._vocab_size

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """Ids that end a generation, including the tokenizer's own end token."""
        return self._end_token_ids

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of `text`."""
        with _encoding():
            if len(text) < _LONG:
                found = self._backend.encode(text, add_special_tokens=add_special_tokens)
            else:
                (found,) = self._backend.encode_batch_fast(
                    [text], add_special_tokens=add_special_tokens
                )
            ids: list[int] = found.ids
        return ids

    def encode_pair(self, first: str, second: str) -> tuple[list[int], int | None]:
        """Token ids of both texts, and the index of the first token of type 1, if there is one."""
        with _encoding():
            encoding = self._backend.encode(first, second)
        kinds = encoding.type_ids
        return encoding.ids, kinds.index(1) if 1 in kinds else None

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of `token_ids`."""
        return self._backend.decode(token_ids, skip_special_tokens=skip_special_tokens)

    @property
    def chat_template(self) -> str | None:
        """The source of the default template."""
        return None if self._chat_template is None else self._chat_template.source

    def piece(self, token_id: int) -> str | None:
        """The text of the token behind a word, if the decoder only joins the texts of tokens."""
        if not self._before or token_id in self._special_ids:
            return None
        before = self._backend.decode(self._before, skip_special_tokens=False)
        text = self._backend.decode([*self._before, token_id], skip_special_tokens=False)
        is_behind = len(text) > len(before) > 0 and text.startswith(before)
        return text[len(before) :] if is_behind and _REPLACEMENT not in text else None

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **values: Any,
    ) -> str:
        """The prompt text of a conversation with its special tokens. Encode it without adding them again."""
        if self._chat_template is None and not values.get("chat_template"):
            return super().apply_chat_template(messages)
        template = self._chat_template or ChatTemplate({}, {})
        return template.render(messages, {"add_generation_prompt": add_generation_prompt, **values})


@contextmanager
def _encoding() -> Iterator[None]:
    try:
        yield
    except (TypeError, UnicodeEncodeError) as error:  # TypeError is raised for lone surrogates too
        raise RequestError(
            f"the prompt is no text that can be encoded ({error}); a str of Unicode characters "
            "without lone surrogates is needed. Check how it was decoded"
        ) from error


def surround(backend: Backend, begin: str | None, end: str | None) -> None:
    """Let `backend` add these tokens around every text that is encoded with special tokens."""
    around = [token for token in (begin, end) if token]
    ids = {token: backend.token_to_id(token) for token in around}
    backend.post_processor = processors.TemplateProcessing(
        single=" ".join([*([begin] if begin else []), "$A", *([end] if end else [])]),
        special_tokens=list(ids.items()),
    )
