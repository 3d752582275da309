"""The kinds of plugins that the core serves: their names, contract majors and base classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.interfaces.card import Card
from jackfield.interfaces.command import Command
from jackfield.interfaces.executor import ExecutorFactory
from jackfield.interfaces.model_source import ModelSource
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.reasoning_parser import ReasoningParser
from jackfield.interfaces.speculator import Speculator
from jackfield.interfaces.structured_output import StructuredOutput
from jackfield.interfaces.tokenizer import TokenizerFormat
from jackfield.interfaces.tool_parser import ToolParser
from jackfield.interfaces.weights import WeightFormat

PLATFORMS = "jackfield.platforms"
EXECUTORS = "jackfield.executors"
MODELS = "jackfield.models"
MODEL_SOURCES = "jackfield.model_sources"
WEIGHT_FORMATS = "jackfield.weight_formats"
TOKENIZERS = "jackfield.tokenizers"
SCHEDULERS = "jackfield.schedulers"
SPECULATORS = "jackfield.speculators"
STRUCTURED_OUTPUT = "jackfield.structured_output"
HOOKS = "jackfield.hooks"
COMMANDS = "jackfield.commands"
TOOL_PARSERS = "jackfield.tool_parsers"
REASONING_PARSERS = "jackfield.reasoning_parsers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of plugin: the group of its entry points is `name` and a major, "jackfield.platforms.v1"."""

    name: str
    word: str  # for messages
    majors: tuple[int, ...] = (1,)  # of its contract that are served; empty: the name is reserved
    by_check: bool = False  # a card without a check of its own would take all, so it is taken only if it is named
    base: type | None = Card  # that the class behind an entry point extends; None: a function

    @property
    def serves(self) -> str:
        """The served majors in words."""
        return ", ".join(f"v{major}" for major in self.majors) or "no version yet"


_SERVED = (
    Kind(name=PLATFORMS, word="platform", base=Platform),
    Kind(name=EXECUTORS, word="executor", base=ExecutorFactory),
    Kind(name=MODELS, word="model", base=None),
    Kind(name=MODEL_SOURCES, word="model source", base=ModelSource, by_check=True),
    Kind(name=WEIGHT_FORMATS, word="weight format", base=WeightFormat, by_check=True),
    Kind(name=TOKENIZERS, word="tokenizer format", base=TokenizerFormat, by_check=True),
    Kind(name=SCHEDULERS, word="scheduling policy", base=SchedulingPolicy),
    Kind(name=SPECULATORS, word="speculator", base=Speculator),
    Kind(name=STRUCTURED_OUTPUT, word="structured output", base=StructuredOutput, by_check=True),
    Kind(name=HOOKS, word="hook", base=object),
    Kind(name=COMMANDS, word="command", base=Command),
    Kind(name=TOOL_PARSERS, word="tool parser", base=ToolParser, by_check=True),
    Kind(name=REASONING_PARSERS, word="reasoning parser", base=ReasoningParser, by_check=True),
)
_RESERVED = (
    Kind(name="jackfield.kv_stores", word="cache store", majors=()),
    Kind(name="jackfield.endpoints", word="endpoint", majors=()),
)
CORE_KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*_SERVED, *_RESERVED)}


def full_name(kind: str) -> str:
    """The name of a kind with the package that serves it: "models" is one of the core."""
    return kind if "." in kind else f"jackfield.{kind}"


def short_name(kind: str) -> str:
    """The name of a kind as decisions show it: "platforms", "jackfield_torch.attention_backends"."""
    return kind.removeprefix("jackfield.")


def runtime_kind(name: str, majors: tuple[int, ...], base: type | None = None) -> Kind:
    """A kind that a runtime serves. What its cards extend its platforms say (`Platform.bases`), else they are cards."""
    return Kind(
        name=name,
        word=name.rpartition(".")[2].replace("_", " ").removesuffix("s"),
        majors=majors,
        base=base or Card,
    )


def kind_of(name: str) -> Kind:
    """The kind of the core of that name, else one of some runtime."""
    return CORE_KINDS.get(name) or runtime_kind(name, ())
