import pytest
from openai import BadRequestError


def test_a_conversation_is_answered(client, echo):
    answer = client.chat.completions.create(**echo("Grüße!"))
    choice = answer.choices[0]

    assert (choice.message.role, choice.message.content) == ("assistant", "Grüße!")
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_begins_with_the_role_and_gives_whole_characters(client, echo):
    chunks = list(
        client.chat.completions.create(
            **echo("Grüße!", stream=True, stream_options={"include_usage": True})
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]

    assert (deltas[0].role, deltas[0].content) == ("assistant", "")
    assert "".join(delta.content or "" for delta in deltas) == "Grüße!"
    assert all("\ufffd" not in (delta.content or "") for delta in deltas)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 9  # bytes, and the end


def test_the_models_own_template_is_used(client):
    answer = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hi"}], max_tokens=1,
        extra_body={"return_token_ids": True},
    )  # fmt: skip

    assert bytes(answer.prompt_token_ids) == b"user: Hi\nassistant:"


def test_parts_of_a_content_are_joined_and_others_than_text_refused(client, echo):
    def content(*parts):
        return [{"role": "user", "content": list(parts)}]

    text = {"type": "text", "text": "a"}
    answer = client.chat.completions.create(**echo("") | {"messages": content(text, text)})
    assert answer.choices[0].message.content == "a\na"
    with pytest.raises(BadRequestError, match="image_url"):
        client.chat.completions.create(
            **echo("") | {"messages": content({"type": "image_url", "image_url": {"url": "x"}})}
        )


def test_logprobs_come_with_the_likeliest_tokens(client, echo):
    answer = client.chat.completions.create(**echo("abc", logprobs=True, top_logprobs=2))
    entries = answer.choices[0].logprobs.content

    assert [entry.token for entry in entries] == ["a", "b", "c", "<end>"]
    assert all(len(entry.top_logprobs) == 2 for entry in entries)


def test_several_answers_are_streamed_side_by_side(client, echo):
    texts = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(**echo("abc", n=3, stream=True)):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""

    assert texts == {0: "abc", 1: "abc", 2: "abc"}


def test_the_last_message_goes_on(client):
    answer = client.chat.completions.create(
        model="tiny", max_tokens=1,
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well"}],
        extra_body={"continue_final_message": True, "add_generation_prompt": False, "echo": True, "return_token_ids": True},
    )  # fmt: skip

    assert bytes(answer.prompt_token_ids) == b"user: Hi\nassistant: Well"
    assert answer.choices[0].message.content.startswith("Well")


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages"),
        ({"extra_body": {"chat_template_kwargs": {"messages": []}}}, "chat_template_kwargs"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"stream_options": {"include_use": True}}, "stream_options.include_use"),
    ],
)
def test_a_wrong_request_names_the_parameter(client, values, param):
    values = {"messages": [{"role": "user", "content": "Hi"}], **values}
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="tiny", **values)

    assert caught.value.param == param


def test_a_template_that_refuses_is_a_wrong_request(client, echo):
    template = {"chat_template": "{{ raise_exception('no system here') }}"}
    with pytest.raises(BadRequestError, match="no system here"):
        client.chat.completions.create(**echo("a", extra_body=template))
