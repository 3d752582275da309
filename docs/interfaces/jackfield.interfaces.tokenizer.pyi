# Part of: jackfield.structured_output.v1, jackfield.tokenizers.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from jackfield.interfaces.card import Card
from jackfield.interfaces.model_source import ModelFiles
class Tokenizer(ABC):

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        ...

    @property
    @abstractmethod
    def end_token_ids(self) -> tuple[int, ...]:
        ...

    @abstractmethod
    def encode(self, text: str, *, add_special_tokens: bool=True) -> list[int]:
        ...

    def encode_pair(self, first: str, second: str) -> tuple[list[int], int | None]:
        ...

    @abstractmethod
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool=True) -> str:
        ...

    @property
    def chat_template(self) -> str | None:
        ...

    def piece(self, token_id: int) -> str | None:
        ...

    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool=True, **values: Any) -> str:
        ...
class TokenizerFormat(Card):

    @abstractmethod
    def open(self, files: ModelFiles) -> Tokenizer:
        ...
