"""OpenAI's responses, driven by OpenAI's client; the model says the last message again."""

import openai
import pytest

CALL = '<think>Hm.</think>I ask.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
TOOLS = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]


@pytest.fixture(scope="module")
def responses(tmp_path_factory, serving):
    folder = tmp_path_factory.mktemp("responses")
    (folder / "echo.jinja").write_text(
        "<echo>{% for message in messages %}{{ message.content }}|{% endfor %}<end>"
    )
    words = ("--chat-template", str(folder / "echo.jinja"), "--reasoning-parser", "qwen3")
    limit = ("--set", "options.serve.max_stored_responses=2")
    with serving(folder, *words, "--tool-call-parser", "hermes", *limit) as server:
        yield server.openai().responses


def test_a_text_is_answered(responses):
    response = responses.create(model="tiny", input="Hallo", instructions="Be short.")

    assert (response.output_text, response.status) == ("Be short.|Hallo|", "completed")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_response_goes_on_with_an_earlier_one_and_instructions_are_not_kept(responses):
    first = responses.create(model="tiny", input="a", instructions="x")
    second = responses.create(model="tiny", input="b", previous_response_id=first.id)

    assert second.output_text == "a|x|a||b|"
    assert responses.retrieve(second.id).output_text == second.output_text


def test_the_oldest_are_given_up_and_others_can_be_deleted(responses):
    first, second, third = (responses.create(model="tiny", input="a") for _ in range(3))
    unkept = responses.create(model="tiny", input="a", store=False)
    responses.delete(third.id)

    assert responses.retrieve(second.id).id == second.id
    for gone in (first, third, unkept):
        with pytest.raises(openai.NotFoundError):
            responses.retrieve(gone.id)


def test_a_stream_adds_up_to_the_same_items(responses):
    with responses.stream(model="tiny", input=CALL, tools=TOOLS) as stream:
        events = list(stream)
        response = stream.get_final_response()

    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "message"]  # fmt: skip
    assert response.output[2].arguments == '{"a": 1}'
    assert [event.sequence_number for event in events] == sorted(event.sequence_number for event in events)  # fmt: skip
    raw = responses.create(model="tiny", input=CALL, tools=TOOLS, stream=True)
    assert [event.type for event in raw] == [event.type for event in events]
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


def test_calls_and_their_results_are_items_of_the_input(responses):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "b"},
    ]

    assert responses.create(model="tiny", input=items).output_text == "a||b|"


def test_what_is_cut_is_incomplete_and_other_tools_are_refused(responses):
    cut = responses.create(model="tiny", input="Hallo", max_output_tokens=2)

    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with pytest.raises(openai.BadRequestError, match="web_search"):
        responses.create(model="tiny", input="a", tools=[{"type": "web_search"}])
