"""What chat templates may use, what they may not, and how they refuse."""

from datetime import datetime

import pytest

from jackfield.checkpoint.chat_template import ChatTemplate, read_sources, reads_parts
from jackfield.errors import RequestError

HELLO = [{"role": "user", "content": "hello"}]


def render(source, messages=HELLO, **values):
    return ChatTemplate({"default": source}, {"bos_token": "<s>"}).render(messages, values)


def test_special_tokens_and_values_are_given():
    assert render("{{ bos_token }}{{ mode }}", mode="fast") == "<s>fast"


def test_a_value_of_the_request_comes_before_a_special_token():
    assert render("{{ bos_token }}", bos_token="<other>") == "<other>"


def test_blocks_take_the_newline_after_and_the_spaces_before_them():
    assert render("a\n  {% if true %}\nb\n  {% endif %}\nc") == "a\nb\nc"


def test_json_is_not_escaped_for_html():
    assert render("{{ {'b': '<é>', 'a': 1} | tojson }}") == '{"b": "<é>", "a": 1}'


def test_json_can_be_indented():
    assert render("{{ {'a': 1} | tojson(indent=2) }}") == '{\n  "a": 1\n}'


def test_the_date_is_at_hand():
    assert render("{{ strftime_now('%Y') }}") == str(datetime.now().year)


def test_loops_can_be_left():
    assert (
        render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}")
        == "01"
    )


def test_marks_of_generated_text_are_passed_over():
    assert render("a{% generation %}b{{ bos_token }}{% endgeneration %}c") == "ab<s>c"


def test_tools_are_none_where_none_are_given():
    assert render("{{ tools is none }} {{ documents is none }}") == "True True"


def test_a_template_can_refuse_with_its_own_words():
    with pytest.raises(RequestError, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ messages[0]['nothing']['deeper'] }}",
        "{{ 1 + 'a' }}",
        "{{ messages | unknown }}",
    ],
)
def test_a_template_that_fails_is_an_error_of_the_request(source):
    with pytest.raises(RequestError, match="refuses this conversation"):
        render(source)


@pytest.mark.parametrize(
    "source", ["{{ messages.append(1) }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}"]
)
def test_a_template_reaches_nothing_outside_its_sandbox(source):
    with pytest.raises(RequestError, match="refuses"):
        render(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}{{ m['role'] + ':' + m['content'] }}{% endfor %}", "assistant:"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", ""),
        (
            "{% for m in messages %}{{ m.tool_calls[0].name if m['content'] is none else m.content }}{% endfor %}",
            "weather",
        ),
    ],
)
@pytest.mark.parametrize("said", [{"content": None}, {"content": ""}, {}])
def test_a_message_that_only_calls_tools_suits_both_kinds_of_templates(source, text, said):
    messages = [{"role": "assistant", "tool_calls": [{"name": "weather"}], **said}]

    assert render(source, messages) == text


def test_no_messages_are_no_conversation():
    with pytest.raises(RequestError, match="no messages"):
        render("x", messages=[])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("x", {"default": "x"}), ([{"name": "a", "template": "y"}], {"a": "y"}), (None, {})],
)
def test_templates_are_read_from_a_text_or_a_list(value, expected):
    assert read_sources(value) == expected


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("{% for m in messages %}{{ m.content }}{% endfor %}", False),
        ("{% for m in messages %}{{ m['content'] | trim }}{% if m.role == 'user' %}x{% endif %}{% endfor %}", False),
        ("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}", True),
        ("{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}", True),
        ("{% set content = m.content %}{% for part in content %}{{ part.text }}{% endfor %}", True),
    ],
)  # fmt: skip
def test_parts_of_text_are_joined_for_templates_that_know_no_parts(source, reads):
    assert reads_parts(source) is reads


def test_a_list_of_texts_is_no_list_in_the_prompt():
    parts = [{"type": "text", "text": "the sea"}, {"type": "text", "text": "in winter"}]
    chat = [{"role": "user", "content": parts}]

    assert (
        render("{% for m in messages %}{{ m.content }}{% endfor %}", chat) == "the sea\nin winter"
    )
    looped = "{% for m in messages %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endfor %}"
    assert render(looped, chat) == "<the sea><in winter>"
