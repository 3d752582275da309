"""Calls of tools and thoughts, through the whole server."""

import asyncio
import json

import pytest
from openai import BadRequestError

from jackfield_openai_server.chat_prompt import chat_prompt
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.protocol.chat import ChatRequest, FunctionDefinition, Tool
from jackfield_openai_server.served import ServedModel

CALLS = (
    "<think>\nTwo cities.\n</think>\n\nI ask.\n"
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rom"}}\n</tool_call>'
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def test_calls_and_thoughts_are_told_from_the_answer(client, echo):
    choice = client.chat.completions.create(**echo(CALLS, tools=TOOLS)).choices[0]

    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I ask.")
    assert choice.message.reasoning_content == "Two cities."
    cities = [json.loads(call.function.arguments)["city"] for call in choice.message.tool_calls]
    assert cities == ["Köln", "Rom"]


def test_calls_are_streamed_as_they_come(client, echo):
    stream = client.chat.completions.create(**echo(CALLS, tools=TOOLS, stream=True))
    calls, thought, content, pieces = {}, "", "", 0
    for chunk in stream:
        delta = chunk.choices[0].delta
        thought += getattr(delta, "reasoning_content", None) or ""
        content += delta.content or ""
        for call in delta.tool_calls or []:
            entry = calls.setdefault(call.index, [call.id, call.function.name, ""])
            entry[2] += call.function.arguments or ""
            pieces += 1
        reason = chunk.choices[0].finish_reason

    assert (reason, thought, content) == ("tool_calls", "Two cities.", "I ask.")
    assert [json.loads(entry[2]) for entry in calls.values()] == [{"city": "Köln"}, {"city": "Rom"}]
    assert all(entry[0] and entry[1] == "weather" for entry in calls.values())
    assert pieces > 10  # not held until they are whole


@pytest.mark.parametrize("message", [{"content": None}, {}], ids=["null", "no_key"])
def test_a_message_that_only_calls_has_an_empty_text_for_the_template(client, message):
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [call]} | message,
    ]
    template = "{% for m in messages %}{{ m['role'] + ':' + m['content'] }}{% endfor %}"
    answer = client.chat.completions.create(
        model="tiny", messages=messages, max_tokens=1,
        extra_body={"chat_template": template, "return_token_ids": True},
    )  # fmt: skip

    assert bytes(answer.prompt_token_ids) == b"user:Hiassistant:"


def test_the_openai_clients_own_accumulator_reads_the_stream(client, echo):
    values = echo(CALLS, tools=TOOLS)
    with client.chat.completions.stream(**values) as stream:
        completion = stream.get_final_completion()

    names = [call.function.name for call in completion.choices[0].message.tool_calls]
    assert names == ["weather", "weather"]


def test_without_tools_calls_are_text(client, echo):
    choice = client.chat.completions.create(
        **echo("<tool_call>x", tool_choice="none", tools=TOOLS)
    ).choices[0]

    assert (choice.message.content, choice.finish_reason) == ("<tool_call>x", "stop")


def test_a_tool_that_is_not_there_cannot_be_chosen(client, echo):
    choice = {"type": "function", "function": {"name": "stocks"}}
    with pytest.raises(BadRequestError, match="stocks"):
        client.chat.completions.create(**echo("a", tools=TOOLS, tool_choice=choice))


def test_tools_are_not_refused_for_good_while_the_model_loads():
    model = ServedModel(("tiny",), None, ServeOptions(), list)
    messages = [{"role": "user", "content": "Hi"}]
    tools = [Tool(function=FunctionDefinition(name="weather"))]

    with pytest.raises(ApiError, match="it is loading") as caught:
        asyncio.run(chat_prompt(model, ChatRequest(messages=messages, tools=tools), ServeOptions()))

    assert caught.value.status == 503
