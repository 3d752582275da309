"""The kinds of plugins that the core serves: their names, contract majors and base classes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

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
ENDPOINTS = "jackfield.endpoints"


_CARD = "jackfield.interfaces.card:Card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of plugin. The group of its entry points is `name` and a major, such as "jackfield.platforms.v1"."""

    name: str
    word: str  # the kind in words, for messages
    majors: tuple[int, ...] = (1,)  # served majors of its contract; empty: the name is reserved
    # True: a card without a `check` of its own would accept everything, so it is chosen only if the user names it.
    by_check: bool = False
    # The base class of its cards: MODULE:CLASS, imported when a card is made; a class; None: a function.
    extends: str | type | None = _CARD

    @property
    def serves(self) -> str:
        """The served majors in words."""
        return ", ".join(f"v{major}" for major in self.majors) or "no version yet"

    @property
    def base(self) -> type | None:
        """The class that cards of this kind extend; None for a function."""
        if not isinstance(self.extends, str):
            return self.extends
        module, _, name = self.extends.partition(":")
        base: type = getattr(importlib.import_module(module), name)
        return base


_SERVED = (
    Kind(name=PLATFORMS, word="platform", extends="jackfield.interfaces.platform:Platform"),
    Kind(name=EXECUTORS, word="executor", extends="jackfield.interfaces.executor:ExecutorFactory"),
    Kind(name=MODELS, word="model", extends=None),
    Kind(
        name=MODEL_SOURCES,
        word="model source",
        extends="jackfield.interfaces.model_source:ModelSource",
        by_check=True,
    ),
    Kind(
        name=WEIGHT_FORMATS,
        word="weight format",
        extends="jackfield.interfaces.weights:WeightFormat",
        by_check=True,
    ),
    Kind(
        name=TOKENIZERS,
        word="tokenizer format",
        extends="jackfield.interfaces.tokenizer:TokenizerFormat",
        by_check=True,
    ),
    Kind(
        name=SCHEDULERS,
        word="scheduling policy",
        extends="jackfield.interfaces.policy:SchedulingPolicy",
    ),
    Kind(name=SPECULATORS, word="speculator", extends="jackfield.interfaces.speculator:Speculator"),
    Kind(
        name=STRUCTURED_OUTPUT,
        word="structured output",
        extends="jackfield.interfaces.structured_output:StructuredOutput",
        by_check=True,
    ),
    Kind(name=HOOKS, word="hook", extends=object),
    Kind(name=COMMANDS, word="command", extends="jackfield.interfaces.command:Command"),
    Kind(
        name=TOOL_PARSERS,
        word="tool parser",
        extends="jackfield.interfaces.tool_parser:ToolParser",
        by_check=True,
    ),
    Kind(
        name=REASONING_PARSERS,
        word="reasoning parser",
        extends="jackfield.interfaces.reasoning_parser:ReasoningParser",
        by_check=True,
    ),
    Kind(name=ENDPOINTS, word="endpoint", extends="jackfield.interfaces.endpoint:Endpoint"),
)
_RESERVED = (Kind(name="jackfield.kv_stores", word="cache store", majors=()),)
CORE_KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*_SERVED, *_RESERVED)}


def full_name(kind: str) -> str:
    """The full name of a kind, with the package that serves it. "models" is a kind of the core."""
    return kind if "." in kind else f"jackfield.{kind}"


def short_name(kind: str) -> str:
    """The name of a kind in decisions: "platforms", "jackfield_torch.attention_backends"."""
    return kind.removeprefix("jackfield.")


def runtime_kind(name: str, majors: tuple[int, ...], base: str | type | None = None) -> Kind:
    """A kind that a runtime serves. Its platforms give the base class (`Platform.bases`); without one it is Card."""
    return Kind(
        name=name,
        word=name.rpartition(".")[2].replace("_", " ").removesuffix("s"),
        majors=majors,
        extends=base or _CARD,
    )


def kind_of(name: str) -> Kind:
    """The kind of the core with that name, otherwise a kind of some runtime."""
    return CORE_KINDS.get(name) or runtime_kind(name, ())
