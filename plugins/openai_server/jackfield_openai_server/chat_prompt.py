"""From a conversation to a prompt: contents as text, tools, the chat template and its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.forced_calls import ForcedCallStream, forced_structure
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.parsers import AnswerParser
from jackfield_openai_server.protocol.chat import ChatRequest, NamedTool
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.tool_calls import with_parsed_arguments

_OURS = ("messages", "chat_template", "add_generation_prompt", "tools", "documents")
_TEXT = ("text", "input_text", "output_text", "refusal")  # types of parts that are text


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPrompt:
    """A conversation ready for the engine, with the way to read its answers."""

    token_ids: list[int]
    text: str
    tools: Sequence[Mapping[str, Any]]
    model: ServedModel
    reads_calls: bool
    forced: bool = False  # True: the model must call a tool
    forced_name: str | None = None  # the tool that must be called; None: any tool
    last_content: str = ""  # content of the last message, which the answer continues

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling fields that the parsers need, and a grammar if a call is forced."""
        if self.forced:
            return {"structured": forced_structure(self.tools, self.forced_name)}
        parser = self.model.parsers.tools
        if self.reads_calls and parser is not None and parser.keeps_special_tokens:
            return {"skip_special_tokens": False}
        return {}

    def parser(self) -> AnswerParser:
        """Make the parser of one output."""
        if self.forced:
            return AnswerParser(None, ForcedCallStream(self.forced_name))
        parsers = self.model.parsers
        reasoning = parsers.reasoning.open(self.text) if parsers.reasoning else None
        tools = parsers.tools.open(self.tools) if parsers.tools and self.reads_calls else None
        return AnswerParser(reasoning, tools)


async def chat_prompt(
    model: ServedModel, request: ChatRequest, options: ServeOptions
) -> ChatPrompt:
    """The prompt of a request. Raises ApiError or RequestError."""
    service = model.text  # raises while the model loads, before its parsers are asked for
    tools = _tools(model, request)
    messages = [_message(message) for message in request.messages]
    values = _template_values(request, options)
    if tools:
        values["tools"] = tools
    text = await service.render(messages, values)
    last_content = str(messages[-1].get("content") or "") if request.continue_final_message else ""
    token_ids = await service.encode(
        text,
        add_special_tokens=bool(request.add_special_tokens),
        max_length=model.facts.max_length,
        last=model.num_kept(request.truncate_prompt_tokens),
    )
    choice = request.tool_choice
    return ChatPrompt(
        token_ids=token_ids,
        text=text,
        tools=tools,
        model=model,
        reads_calls=bool(tools),
        forced=bool(tools) and request.tool_choice not in (None, "auto"),
        forced_name=choice.function.name if isinstance(choice, NamedTool) else None,
        last_content=last_content,
    )


def _tools(model: ServedModel, request: ChatRequest) -> list[dict[str, Any]]:
    choice, tools = request.tool_choice, request.tools or []
    if choice == "none" or not tools:
        if choice not in (None, "none", "auto"):
            raise ApiError(400, "tool_choice names a tool, and there are no tools", param="tools")
        return []
    if choice in (None, "auto"):
        if model.parsers.tools is None:
            raise ApiError(
                400,
                "no tool parser knows the format of this model's calls. Start the server with --tool-call-parser NAME, "
                'or send tool_choice = "none"',
                param="tools",
                code="tools_not_served",
            )
    elif isinstance(choice, NamedTool):
        name = choice.function.name
        if name not in {tool.function.name for tool in tools}:
            raise ApiError(
                400, f"tool_choice names {name!r}, which is no tool", param="tool_choice"
            )
    found: list[dict[str, Any]] = msgspec.to_builtins(tools)
    return found


def _template_values(request: ChatRequest, options: ServeOptions) -> dict[str, Any]:
    """Values for the template beside messages and tools."""
    if request.add_generation_prompt and request.continue_final_message:
        if request.messages[-1].get("role") != "assistant":
            raise ApiError(
                400,
                "continue_final_message needs an assistant's message at the end, and add_generation_prompt = false",
                param="continue_final_message",
            )
    values: dict[str, Any] = dict(request.chat_template_kwargs or {})
    for name in _OURS:
        if name in values:
            raise ApiError(
                400, f"chat_template_kwargs may not set {name}", param="chat_template_kwargs"
            )
    if request.reasoning_effort is not None:
        values.setdefault("reasoning_effort", request.reasoning_effort)
    if request.documents is not None:
        values["documents"] = request.documents
    values["add_generation_prompt"] = request.add_generation_prompt
    values["continue_final_message"] = request.continue_final_message
    if request.chat_template is not None:
        if not options.request_templates:
            raise ApiError(
                400,
                "this server takes no chat templates from clients (options.serve.request_templates)",
                param="chat_template",
            )
        values["chat_template"] = request.chat_template
    return values


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose content is text. Raises ApiError if the content is not text."""
    found = dict(with_parsed_arguments(message))
    if found.get("role") == "developer":
        found["role"] = "system"
    content = found.get("content")
    if isinstance(content, list):
        found["content"] = "\n".join(_part(part) for part in content)
    elif content is not None and not isinstance(content, str):
        raise ApiError(
            400, "the content of a message must be text or a list of parts", param="messages"
        )
    return found


def _part(part: Any) -> str:
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if isinstance(part, str):
        return part
    text = part.get("text", part.get("refusal")) if isinstance(part, Mapping) else None
    if kind not in _TEXT or not isinstance(text, str):
        raise ApiError(
            400,
            f"a part of type {kind!r} is not served; this model takes text",
            param="messages",
            code="unsupported_content",
        )
    return text
