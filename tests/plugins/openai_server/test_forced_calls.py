"""Calls that are forced, as they arrive."""

import json

import pytest

from jackfield_openai_server.forced_calls import ForcedCallStream

ARGUMENTS = '{"a": {"b": "}}"}, "c": [{}]}'
CALL = f'{{"name": "f\\u00fc", "arguments": {ARGUMENTS}}}'


def read(pieces, name=None):
    """(names, arguments, content) of the pieces."""
    stream = ForcedCallStream(name)
    deltas = [*map(stream.push, pieces), stream.finish()]
    calls = [call for delta in deltas for call in delta.calls]
    names = [call.name for call in calls if call.name is not None]
    return names, "".join(call.arguments for call in calls), "".join(d.content for d in deltas)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_call_is_the_same_however_it_arrives(size):
    pieces = [CALL[start : start + size] for start in range(0, len(CALL), size)]

    assert read(pieces) == (["fü"], ARGUMENTS, "")


def test_arguments_are_given_out_before_the_call_is_whole():
    stream = ForcedCallStream(None)
    first = stream.push('{"name": "f", "arguments": {"a": "lo')
    second = stream.push("ng")

    assert [(call.name, call.arguments) for call in first.calls] == [("f", '{"a": "lo')]
    assert [(call.name, call.arguments) for call in second.calls] == [(None, "ng")]


def test_what_is_cut_off_is_a_call_with_the_beginning_of_its_arguments():
    for length in range(1, len(CALL)):
        names, arguments, content = read(CALL[:length])
        begun = CALL[CALL.index("{", 1) : length]

        if names:
            assert (names, arguments, content) == (["fü"], begun, "")
        else:
            assert (arguments, content) == ("", CALL[:length])


def test_a_named_tool_writes_its_arguments_alone():
    assert read(ARGUMENTS, "f") == (["f"], ARGUMENTS, "")
    assert json.loads(ARGUMENTS)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"name": "f", "arguments": null}', "null"),
        ('{"arguments": {"a": "ü"}, "name": "f"}', '{"a": "ü"}'),
    ],
    ids=["no_object", "other_order"],
)
def test_a_whole_call_of_another_form_is_a_call(text, arguments):
    assert read(text) == (["f"], arguments, "")
