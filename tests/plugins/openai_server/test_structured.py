"""Answers that fit a form: a model of hashes, which writes nothing that makes sense, is held to it."""

import json
import re
from typing import Literal

import pytest
from openai import BadRequestError
from pydantic import BaseModel

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "yz"]}, "b": {"type": "boolean"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}


def said(client, **values):
    return client.chat.completions.create(**ASKED, **values).choices[0].message


def test_a_json_schema_is_kept(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    answer = json.loads(said(client, response_format=wanted).content)

    assert answer["a"] in ("x", "yz")
    assert isinstance(answer["b"], bool)


@pytest.mark.parametrize(
    ("extra", "pattern"),
    [
        ({"structured_outputs": {"regex": "[ab]{3}"}}, "[ab]{3}"),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, "yes|no"),
        ({"guided_choice": ["left", "right"]}, "left|right"),
        ({"guided_regex": "x[0-9]"}, "x[0-9]"),
        ({"guided_grammar": 'start: "a" | "b"'}, "a|b"),
    ],
)
def test_the_forms_of_vllms_users_are_kept(client, extra, pattern):
    assert re.fullmatch(pattern, said(client, extra_body=extra).content)


class Answer(BaseModel):
    kind: Literal["x", "yz"]
    is_good: bool


def test_openais_client_reads_answers_as_objects(client):
    chat = client.chat.completions.parse(**ASKED, response_format=Answer)
    response = client.responses.parse(
        model="tiny", input="Hi", max_output_tokens=100, text_format=Answer
    )

    assert isinstance(chat.choices[0].message.parsed, Answer)
    assert isinstance(response.output_parsed, Answer)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_can_be_insisted_on(client, stream):
    tools = [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in "fg"
    ]
    named = {"type": "function", "function": {"name": "g"}}
    for choice, names in ((named, {"g"}), ("required", {"f", "g"})):
        asked = {**ASKED, "tools": tools, "tool_choice": choice}
        if stream:
            with client.chat.completions.stream(**asked) as events:
                choice = events.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(**asked).choices[0]
        (call,) = choice.message.tool_calls
        assert call.function.name in names
        assert json.loads(call.function.arguments)["a"] in ("x", "yz")
        assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "values",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        {"extra_body": {"structured_outputs": {"regex": "("}}},
        {"extra_body": {"structured_outputs": {"regex": "a", "choice": ["b"]}}},
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(client, values):
    with pytest.raises(BadRequestError):
        said(client, **values)


def test_a_schema_with_a_million_alternatives_is_refused_and_others_go_on(server, client):
    schema = {"enum": [f"alternative {number}" for number in range(500_000)]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    with pytest.raises(BadRequestError):
        said(client, response_format=wanted)
    assert server.http.get("/health").status_code == 200
