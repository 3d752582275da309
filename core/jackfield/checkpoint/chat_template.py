"""Chat templates: Jinja programs that come with a model, run in a sandbox with the names that they expect."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jackfield.errors import RequestError

DEFAULT = "default"
WITH_TOOLS = "tool_use"
# Names of the thoughts in a message. Templates read the first two.
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
# Matches a loop over a content, or over a variable that holds a content.
_READS_PARTS = re.compile(r"\bfor\s+\w+\s+in\s+[^%]*\bcontent\b")
# Matches a test whether a content is none. Templates with it leave out the calls of messages whose content is "".
_TESTS_NONE = re.compile(
    r"\bcontent\b['\"\])]*\s*(?:is\s+(?:not\s+)?|[!=]=\s*)none\b", re.IGNORECASE
)
# The space shows whether a template strips spaces.
_OPEN_END = "\ue000 jackfield: written on from here "


class ChatTemplate:
    """One or more named templates of a tokenizer. A template is compiled when it is first used.

    The rules are those that templates are written for: blocks remove the newline after them and the spaces before,
    `tojson` does not escape for HTML, `raise_exception` and `strftime_now` exist, `{% generation %}` marks have no
    effect, and names such as `bos_token` are the tokenizer's special tokens.
    """

    def __init__(self, sources: Mapping[str, str], special_tokens: Mapping[str, str]) -> None:
        self._sources = dict(sources)
        self._special_tokens = dict(special_tokens)
        self._compiled: dict[str, Any] = {}  # compiled templates by source

    @property
    def source(self) -> str:
        """The source of the default template."""
        return self._sources.get(DEFAULT) or next(iter(self._sources.values()), "")

    def render(self, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
        """The prompt text. Raises RequestError if the template refuses the conversation.

        Three of `values` have a meaning beside the template: `chat_template` is the name of a template or a template
        itself, `tools` select the template for tools, and `continue_final_message` leaves the last message open for
        continuation.
        """
        if not messages:
            raise RequestError(
                "the conversation has no messages; give at least one, such as "
                "{'role': 'user', 'content': 'Hello'}"
            )
        given = dict(values)
        name, source = self._choose(given.pop("chat_template", None), given.get("tools"))
        is_open = bool(given.pop("continue_final_message", False))
        if is_open:
            given["add_generation_prompt"] = False
        import jinja2  # noqa: PLC0415  # heavy

        defaults = {"tools": None, "documents": None, **self._special_tokens}
        try:
            shown = [_as_templates_expect(message, source) for message in messages]
            if is_open:
                shown[-1]["content"] = _left_open(shown[-1]["content"] or "")
            template = self._compiled.get(source) or self._compile(source)
            text: str = template.render({**defaults, **given, "messages": shown})
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise RequestError(
                f"the model's chat template ({name}) refuses this conversation: {error}; it may "
                "allow only some roles and orders, with 'role' and 'content' in each message. "
                "Change the messages or give a plain prompt"
            ) from error
        return _without_end(text) if is_open else text

    def _choose(self, wanted: str | None, tools: Any) -> tuple[str, str]:
        """Name and source of the template: the wanted one, the one for tools, or the default."""
        names = ", ".join(sorted(self._sources))
        if wanted is not None:
            if wanted in self._sources:
                return wanted, self._sources[wanted]
            if "{" not in wanted:
                raise RequestError(
                    f"the model has no chat template {wanted!r}; it has: {names}. Name one of them, or give the text "
                    "of a template"
                )
            return "of the request", wanted
        if tools is not None and WITH_TOOLS in self._sources:
            return WITH_TOOLS, self._sources[WITH_TOOLS]
        if DEFAULT not in self._sources:
            raise RequestError(
                f"the model has several chat templates and none is called {DEFAULT!r}; it has: {names}. Name one with "
                "chat_template"
            )
        return DEFAULT, self._sources[DEFAULT]

    def _compile(self, source: str) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415  # heavy

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _generation_extension()],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        template = environment.from_string(source)
        # Templates in requests are not kept, since there may be any number.
        if source in self._sources.values():
            self._compiled[source] = template
        return template


def read_sources(value: Any) -> dict[str, str]:
    """Templates by name, from the value of `chat_template`: a text, or a list of names with texts."""
    if isinstance(value, str):
        return {DEFAULT: value}
    if isinstance(value, list):
        return {str(entry["name"]): str(entry["template"]) for entry in value}
    return {}


def reads_parts(source: str) -> bool:
    """True if a template loops over the parts of a content. Other templates would print a list as Python does."""
    return _READS_PARTS.search(source) is not None


def _joined(content: Any) -> Any:
    """The joined text of a content whose parts are all texts; any other content unchanged."""
    if not isinstance(content, list) or not all(
        isinstance(part, Mapping)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
        for part in content
    ):
        return content
    return "\n".join(part["text"] for part in content)


def _as_templates_expect(message: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The message without None values, which many templates would print, and with thoughts under both of their names.

    An assistant's message that says nothing has the content "", because templates add it to other text or print it. If it
    calls tools and the template tests for None, as DeepSeek's do, it is None.
    """
    shown = {key: value for key, value in message.items() if value is not None}
    if "content" in shown and not reads_parts(source):
        shown["content"] = _joined(shown["content"])
    if shown.get("role") == "assistant" and not shown.get("content"):
        is_none = bool(shown.get("tool_calls")) and _TESTS_NONE.search(source) is not None
        shown["content"] = None if is_none else ""
    thoughts = next((shown[name] for name in _THOUGHTS if name in shown), None)
    if thoughts is None:
        return shown
    return {"thinking": thoughts, **shown, "reasoning_content": thoughts}


def _left_open(content: Any) -> Any:
    """The content of a message (a text or a list of parts), with a mark behind its last text."""
    if isinstance(content, str):
        return content + _OPEN_END
    *before, last = content
    return [*before, {**last, "text": last["text"] + _OPEN_END}]


def _without_end(text: str) -> str:
    """The text up to the mark. Spaces before the mark are removed if the template strips them."""
    before, mark, after = text.rpartition(_OPEN_END.strip())
    if not mark:
        raise RequestError(
            "the last message cannot be written on: the model's chat template leaves it out or changes it. Leave out "
            "continue_final_message"
        )
    return before if after.startswith(" ") else before.rstrip()


def _generation_extension() -> type[Any]:
    from jinja2.ext import Extension  # noqa: PLC0415  # heavy

    class GenerationMarks(Extension):
        """`{% generation %}` marks an assistant's text for training. Here only its content counts."""

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
