"""The card: the forms of structured output that llguidance compiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.config.options import read_options
from jackfield.errors import ConfigError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.structured_output import (
    GrammarCompiler,
    StructuredOutput,
    Vocabulary,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlguidanceOptions:
    """Limits, so that no request can block an engine."""

    max_bytes: int = 1 << 20  # most bytes of a schema, expression or grammar
    num_cached: int = 256  # number of compiled grammars that are kept

    def __post_init__(self) -> None:
        for name in ("max_bytes", "num_cached"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"options.llguidance.{name} must be at least 1, got {getattr(self, name)}"
                )


class LlguidanceOutput(StructuredOutput):
    """JSON schemas, JSON objects, regular expressions, grammars in Lark's language, structural tags."""

    forms: ClassVar[frozenset[str]] = frozenset(
        {"json", "json_object", "regex", "grammar", "structural_tag"}
    )
    options: ClassVar[type | None] = LlguidanceOptions

    def probe(self) -> Facts:
        """Import the library."""
        from importlib.metadata import version

        import llguidance  # noqa: F401

        return {"llguidance": version("llguidance")}

    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        """Make the compiler for one model."""
        from jackfield_llguidance.compiler import LlguidanceCompiler

        return LlguidanceCompiler(vocabulary, read_options(LlguidanceOptions, "llguidance", config))
