# Part of: jackfield.structured_output.v1
from abc import ABC
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from jackfield.config import EngineConfig
from jackfield.decision import Reason
from jackfield.grammar import Grammar
from jackfield.interfaces.card import Card
from jackfield.interfaces.card import Facts
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.sampling import Structured
@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredOutputNeed:
    FEATURE: ClassVar[str] = 'structured_output'
    form: str
@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    tokenizer: Tokenizer
    size: int
    end_token_ids: tuple[int, ...]
class GrammarCompiler(ABC):

    @abstractmethod
    def compile(self, structured: Structured) -> Grammar:
        ...
class StructuredOutput(Card):
    forms: ClassVar[frozenset[str]] = frozenset()

    def check(self, need: StructuredOutputNeed, facts: Facts) -> tuple[Reason, ...]:
        ...

    @abstractmethod
    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        ...
