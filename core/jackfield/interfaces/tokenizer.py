"""Tokenizers: text to token ids and back, and the chat template."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.errors import RequestError
from jackfield.interfaces.card import Card
from jackfield.interfaces.model_source import ModelFiles


class Tokenizer(ABC):
    """Used from several threads at once: one encodes prompts while another decodes answers."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""

    @property
    @abstractmethod
    def end_token_ids(self) -> tuple[int, ...]:
        """Ids that end a generation, by the tokenizer's own files."""

    @abstractmethod
    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of `text`."""

    def encode_pair(self, first: str, second: str) -> tuple[list[int], int | None]:
        """Token ids of two texts that a model reads together, special tokens included, and where the second begins.

        That is None for models that tell texts apart by special tokens alone. Raises RequestError where pairs are not served.
        """
        raise RequestError("this tokenizer does not encode pairs of texts")

    @abstractmethod
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of `token_ids`, which stay as they are; bytes that are no whole character become U+FFFD.

        An id that the vocabulary lacks has no text and is no error: a model whose embedding is padded may draw it.
        """

    @property
    def chat_template(self) -> str | None:
        """The source of the template that conversations are written with by default; None if there is none."""
        return None

    def piece(self, token_id: int) -> str | None:
        """What this token adds behind any finished text, or None if that depends on what stands before it.

        None is right for bytes that are no whole character, for special tokens, and as the answer to all; a piece is
        the same for each text: `decode([*ids, token_id])` is `decode(ids)` and the piece, if `decode(ids)` is not
        empty and ends in a whole character. Asked once for each id: with pieces a streamed token costs a tenth.
        """
        return None

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **values: Any,
    ) -> str:
        """The prompt text of a conversation, which stays as it is.

        Raises RequestError, and nothing else, if there is no template or it makes nothing of what a user sent: no
        messages, one without role or content (`[{}]`), an unknown role.
        """
        raise RequestError("this tokenizer has no chat template; give a plain prompt instead")


class TokenizerFormat(Card):
    """Opens tokenizers of one kind of file. `check(files, facts)` refuses files of another kind."""

    @abstractmethod
    def open(self, files: ModelFiles) -> Tokenizer:
        """Load the tokenizer. Raises ModelError if files are missing or broken."""
