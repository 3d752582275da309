"""llguidance through the kit of its kind, and schemas that it refuses."""

import json
import re
import time

import jsonschema
import pytest

from jackfield import RequestError
from jackfield.config import EngineConfig
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.sampling import Structured
from jackfield_testing.conformance.structured_output import StructuredOutputKit
from jackfield_testing.plugins import load_plugin
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, ByteTokenizer

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "yz"]}, "b": {"type": "boolean"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def fits_schema(text):
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


TAGS = {
    "structures": [
        {"begin": "<call=add>", "schema": SCHEMA, "end": "</call>"},
        {"begin": "<call=now>", "schema": {"const": 1}, "end": "</call>"},
    ],
    "triggers": ["<call="],
}


class TestLlguidance(StructuredOutputKit):
    name = "llguidance"
    samples = (
        ({"json": SCHEMA}, fits_schema),
        ({"regex": "(ab|c){1,3}-[0-9]{2}"}, re.compile("(ab|c){1,3}-[0-9]{2}").fullmatch),
        ({"grammar": 'start: "a" (" b" | " cd") "!"'}, {"a b!", "a cd!"}.__contains__),
    )


@pytest.fixture(scope="module")
def compiler():
    card = load_plugin("jackfield.structured_output", "llguidance")
    ends = (END_TOKEN_ID,)
    vocabulary = Vocabulary(tokenizer=ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=ends)
    return card.create(vocabulary, EngineConfig())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"json": "{"}, "no JSON"),
        ({"json": {"not": {"type": "string"}}}, "not"),
        ({"regex": "(a"}, "regex"),
        ({"grammar": "start: nothing"}, "nothing"),
        ({"structural_tag": {"structures": []}}, "must be"),
        (
            {"structural_tag": {**TAGS, "triggers": ["<other"]}},
            "'<call=add>' begins with none of its triggers",
        ),
        ({"json": {"enum": ["x" * 100] * 20_000}}, "max_bytes"),
    ],
)
def test_what_cannot_be_honoured_is_refused(compiler, given, words):
    with pytest.raises(RequestError, match=words):
        compiler.compile(Structured.of(given))


def test_equal_schemas_are_compiled_once(compiler):
    first = compiler.compile(Structured.of({"json": SCHEMA}))

    assert compiler.compile(Structured.of({"json": SCHEMA})) is first


def test_a_vocabulary_of_whole_words_fills_its_mask_and_no_more():
    card = load_plugin("jackfield.structured_output", "llguidance")
    vocabulary = Vocabulary(tokenizer=ByteTokenizer(), size=288, end_token_ids=(END_TOKEN_ID,))
    mask = memoryview(bytearray(288 // 8))
    card.create(vocabulary, EngineConfig()).compile(Structured("regex", "a")).start().fill(mask)

    assert [token for token in range(288) if mask[token // 8] >> token % 8 & 1] == [ord("a")]


def test_no_document_gets_through_that_its_schema_refuses(judge_schemas):
    """Of the JSON Schema Test Suite: a schema is honoured or refused."""
    wrong, counts = judge_schemas("llguidance")

    assert wrong == []
    assert counts["accepted"] > 150
    assert counts["valid"] > 300
    assert counts["drawn"] > 400


@pytest.mark.parametrize(
    "given",
    [
        {"json": {"enum": [f"word {number}" for number in range(1_000_000)]}},
        {"json": {"enum": [f"w{number}" for number in range(100_000)]}},
        {"json": {"anyOf": [{"required": [f"k{number}"]} for number in range(20_000)]}},
    ],
    ids=["million words", "many words", "many keys"],
)
def test_a_schema_of_very_many_alternatives_is_refused_in_time(compiler, given):
    structured = Structured.of(given)
    began_s = time.thread_time()

    with pytest.raises(RequestError):
        compiler.compile(structured)

    assert time.thread_time() - began_s < 5


def test_a_trigger_must_be_followed_by_what_its_schema_says(compiler):
    state = compiler.compile(Structured.of({"structural_tag": TAGS})).start()

    taken = b"Let me see. <call=now>1</call> And"
    assert all(state.accept(byte) for byte in taken)
    assert all(state.accept(byte) for byte in b"<call=")
    assert not state.accept(ord("x"))
    assert all(state.accept(byte) for byte in b'add>{"a": "x", "b": true}</call>')
