"""Chooses the parsers for the answers of a model, and applies them to an answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jackfield.discovery.kinds import REASONING_PARSERS, TOOL_PARSERS
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError, PluginError
from jackfield.interfaces.reasoning_parser import ChatFormat, ReasoningParser, ReasoningStream
from jackfield.interfaces.tool_parser import ToolCallDelta, ToolParser, ToolStream
from jackfield_openai_server.options import AUTO, NONE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parsers:
    """The parsers of one model; None if nothing is to be parsed."""

    tools: ToolParser | None = None
    reasoning: ReasoningParser | None = None


def choose_parsers(
    registry: PluginRegistry, found: ChatFormat, tool_word: str, reasoning_word: str
) -> Parsers:
    """The parsers that fit a model. Raises PluginError or ConfigError if a named parser does not fit."""
    return Parsers(
        _choose(registry, TOOL_PARSERS, "tool_parser", tool_word, found),
        _choose(registry, REASONING_PARSERS, "reasoning_parser", reasoning_word, found),
    )


def _choose(
    registry: PluginRegistry, kind: str, setting: str, word: str, found: ChatFormat
) -> Any | None:
    if word == NONE:
        return None
    if word != AUTO:
        try:
            return registry.card(registry.ref(kind, word))
        except PluginError as error:
            raise ConfigError(f"options.serve.{setting} = {word}: {error}") from None
    for ref in registry.refs(kind):
        try:
            reasons = registry.check(ref, found)
        except PluginError as error:
            logger.warning("%s", error)
            continue
        if not reasons:
            logger.info("%s: %s, which knows the model's format", setting, ref.name)
            return registry.card(ref)
        logger.debug("%s: not %s: %s", setting, ref.name, "; ".join(map(str, reasons)))
    logger.info("%s: none, no plugin knows the model's format", setting)
    return None


@dataclass(slots=True)
class Parsed:
    """The parts of an answer that a piece of text turned out to be."""

    reasoning: str = ""
    content: str = ""
    calls: Sequence[ToolCallDelta] = ()


class AnswerParser:
    """Reads one output: first thoughts, then calls in the rest."""

    def __init__(self, reasoning: ReasoningStream | None, tools: ToolStream | None) -> None:
        self._reasoning = reasoning
        self._tools = tools
        self.has_calls = False

    def push(self, text: str, *, is_last: bool) -> Parsed:
        """Read the next piece of the text."""
        parsed = Parsed(content=text)
        if (reasoning := self._reasoning) is not None:
            delta = reasoning.push(text)
            parsed.reasoning, parsed.content = delta.reasoning, delta.content
            if is_last:
                rest = reasoning.finish()
                parsed.reasoning += rest.reasoning
                parsed.content += rest.content
        if (tools := self._tools) is not None:
            found = tools.push(parsed.content)
            parsed.content, parsed.calls = found.content, found.calls
            if is_last:
                last = tools.finish()
                parsed.content += last.content
                parsed.calls = (*parsed.calls, *last.calls)
            self.has_calls = self.has_calls or bool(parsed.calls)
        return parsed
