"""Anthropic's messages, driven by Anthropic's client. The answer goes on with the assistant's message, which is an echo."""

import anthropic
import httpx2
import pytest

CALL = '<think>Hm.</think>I ask.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
ECHO = "{% if messages[-1].role == 'user' %}<echo>{{ messages[-1].content }}<end>{% endif %}"


@pytest.fixture(scope="module")
def served(tmp_path_factory, serving):
    folder = tmp_path_factory.mktemp("messages")
    (folder / "echo.jinja").write_text(ECHO)
    words = ("--chat-template", str(folder / "echo.jinja"), "--reasoning-parser", "qwen3")
    with serving(folder, *words, "--tool-call-parser", "hermes") as server:
        yield server


@pytest.fixture(scope="module")
def claude(served):
    with httpx2.Client(trust_env=False, timeout=60) as http:
        yield anthropic.Anthropic(
            base_url=served.url, api_key="unused", max_retries=0, http_client=http
        )


def said(text, **values):
    return {"model": "tiny", "max_tokens": 300, "messages": [{"role": "user", "content": text}], **values}  # fmt: skip


def test_messages_without_content_are_refused(served):
    body = {"max_tokens": 3, "messages": [{"role": "user", "content": []}]}
    found = served.http.post("/v1/messages", json=body)

    assert (found.status_code, found.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_message_is_answered(claude):
    message = claude.messages.create(**said("Hallo"))

    assert [block.text for block in message.content] == ["Hallo"]
    assert (message.stop_reason, message.role) == ("end_turn", "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 6)


def test_thoughts_text_and_calls_are_blocks_of_their_own(claude):
    message = claude.messages.create(**said(CALL, tools=TOOLS))
    thought, text, call = message.content

    assert (thought.thinking, text.text, call.name, call.input) == ("Hm.", "I ask.", "f", {"a": 1})
    assert message.stop_reason == "tool_use"


def test_a_stream_adds_up_to_the_same_message(claude):
    with claude.messages.stream(**said(CALL, tools=TOOLS)) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()

    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert (message.content[2].input, message.stop_reason) == ({"a": 1}, "tool_use")
    raw = claude.messages.create(**said(CALL, tools=TOOLS), stream=True)
    assert {event.type for event in raw} <= {*kinds}
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


def test_a_stop_sequence_and_a_limit_are_told_apart(claude):
    stopped = claude.messages.create(**said("Hallo", stop_sequences=["l"]))
    cut = claude.messages.create(**said("Hallo", max_tokens=2))

    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "l")
    assert (cut.stop_reason, cut.content[0].text) == ("max_tokens", "Ha")


def test_tokens_are_counted_and_errors_have_their_shape(claude, served):
    assert (
        claude.messages.count_tokens(model="tiny", messages=said("Hi")["messages"]).input_tokens
        == 4
    )
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(**said("a") | {"model": "huge"})
    image = [{"type": "image", "source": {"type": "url", "url": "http://x"}}]
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(**said(image))
    assert caught.value.body["error"]["type"] == "invalid_request_error"
