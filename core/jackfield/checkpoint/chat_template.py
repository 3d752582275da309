"""Chat templates: Jinja programs that come with a model, run in a sandbox with the names that they expect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jackfield.errors import RequestError

DEFAULT = "default"
WITH_TOOLS = "tool_use"


class ChatTemplate:
    """One or more named templates of a tokenizer. Compiled when first used.

    The rules are those that templates are written for: blocks swallow the newline after them and the spaces before,
    `tojson` escapes nothing for HTML, `raise_exception` and `strftime_now` exist, `{% generation %}` marks are
    passed over, and `bos_token` and the like are the tokenizer's.
    """

    def __init__(self, sources: Mapping[str, str], special_tokens: Mapping[str, str]) -> None:
        self._sources = dict(sources)
        self._special_tokens = dict(special_tokens)
        self._compiled: dict[str, Any] = {}

    def render(self, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
        """The prompt text. Raises RequestError where the template refuses the conversation."""
        if not messages:
            raise RequestError(
                "the conversation has no messages; give at least one, such as "
                "{'role': 'user', 'content': 'Hello'}"
            )
        name = WITH_TOOLS if values.get("tools") and WITH_TOOLS in self._sources else DEFAULT
        import jinja2  # noqa: PLC0415  # heavy

        defaults = {"tools": None, "documents": None, **self._special_tokens}
        try:
            template = self._compiled.get(name) or self._compile(name)
            text: str = template.render({**defaults, **values, "messages": messages})
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise RequestError(
                f"the model's chat template ({name}) refuses this conversation: {error}; it may "
                "allow only some roles and orders, with 'role' and 'content' in each message. "
                "Change the messages or give a plain prompt"
            ) from error
        return text

    def _compile(self, name: str) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415  # heavy

        source = self._sources.get(name) or next(iter(self._sources.values()))
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _generation_extension()],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        self._compiled[name] = environment.from_string(source)
        return self._compiled[name]


def read_sources(value: Any) -> dict[str, str]:
    """Templates by name, from the value of `chat_template`: a text, or a list of names with texts."""
    if isinstance(value, str):
        return {DEFAULT: value}
    if isinstance(value, list):
        return {str(entry["name"]): str(entry["template"]) for entry in value}
    return {}


def _generation_extension() -> type[Any]:
    from jinja2.ext import Extension  # noqa: PLC0415  # heavy

    class GenerationMarks(Extension):
        """`{% generation %}` marks what an assistant wrote, for training; here only its content counts."""

        tags = {"generation"}  # noqa: RUF012  # as the base class declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return GenerationMarks


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    import jinja2  # noqa: PLC0415  # heavy

    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)
