"""Tokenizers: text to token ids and back, and the chat template."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.errors import RequestError
from jackfield.interfaces.card import Card
from jackfield.interfaces.model_source import ModelFiles


class Tokenizer(ABC):
    """Text to token ids and back. Used from several threads at once: one encodes prompts while another decodes
    answers.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""

    @property
    @abstractmethod
    def end_token_ids(self) -> tuple[int, ...]:
        """Ids that end a generation, according to the tokenizer's own files."""

    @abstractmethod
    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of `text`."""

    def encode_pair(self, first: str, second: str) -> tuple[list[int], int | None]:
        """Token ids of two texts that a model reads together, special tokens included, and the index where the second
        begins.

        The index is None for models that tell the texts apart by special tokens alone. Raises RequestError if the
        tokenizer does not encode pairs.
        """
        raise RequestError("this tokenizer does not encode pairs of texts")

    @abstractmethod
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of `token_ids`. Does not change `token_ids`. Bytes that are no whole character become U+FFFD.

        An id that is not in the vocabulary gives no text and no error: a model whose embedding is padded may draw
        such an id.
        """

    @property
    def chat_template(self) -> str | None:
        """Source of the template for conversations, if a request gives no other; None if there is none."""
        return None

    def piece(self, token_id: int) -> str | None:
        """The text that this token adds after any finished text, or None if that depends on what stands before the
        token.

        None is right for bytes that are no whole character and for special tokens; a tokenizer may also always return
        None. If `decode(ids)` is not empty and ends in a whole character, `decode([*ids, token_id])` must be
        `decode(ids)` followed by the piece. Called once for each id. With pieces, streaming a token costs a tenth.
        """
        return None

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **values: Any,
    ) -> str:
        """The prompt text of a conversation. Does not change `messages`.

        Raises RequestError, and no other error, if there is no template or the template refuses what a user sent: no
        messages, a message without role or content (`[{}]`), or an unknown role.
        """
        raise RequestError("this tokenizer has no chat template; give a plain prompt instead")


class TokenizerFormat(Card):
    """Opens tokenizers of one kind of file. `check(files, facts)` refuses files of another kind."""

    @abstractmethod
    def open(self, files: ModelFiles) -> Tokenizer:
        """Load the tokenizer. Raises ModelError if files are missing or broken."""
