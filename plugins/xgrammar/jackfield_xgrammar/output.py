"""The card: the forms of structured output that XGrammar compiles."""

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
class XgrammarOptions:
    """Limits, so that no request can block an engine."""

    max_bytes: int = 1 << 16  # most bytes of a schema, expression or grammar
    max_parts: int = 5_000  # most keywords and values of a schema, or alternatives of a choice
    max_compile_s: float = 10.0  # seconds that a request waits for its grammar
    num_cached: int = 256  # number of compiled grammars that are kept

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_parts", "max_compile_s", "num_cached"):
            if (value := getattr(self, name)) <= 0:
                raise ConfigError(f"options.xgrammar.{name} must be above 0, got {value}")


class XgrammarOutput(StructuredOutput):
    """JSON schemas, JSON objects, regular expressions, choices, grammars of GBNF or Lark, structural tags."""

    forms: ClassVar[frozenset[str]] = frozenset(
        {"json", "json_object", "regex", "choice", "grammar", "structural_tag"}
    )
    options: ClassVar[type | None] = XgrammarOptions

    def probe(self) -> Facts:
        """Find the library without importing it. The import takes seconds, so it waits for the first grammar."""
        from importlib.metadata import version
        from importlib.util import find_spec

        missing = [n for n in ("xgrammar", "tvm_ffi", "torch", "transformers") if not find_spec(n)]
        if missing:
            raise ImportError(
                f"{', '.join(missing)} not found. Try: pip install 'jackfield-xgrammar[library]'"
            )
        return {"xgrammar": version("xgrammar")}

    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        """Make the compiler for one model."""
        from jackfield_xgrammar.compiler import XgrammarCompiler

        return XgrammarCompiler(vocabulary, read_options(XgrammarOptions, "xgrammar", config))
