"""XGrammar through the kit of its kind, and what it would pass over, which is refused."""

import json
import re
import threading
import time

import jsonschema
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from jackfield import RequestError
from jackfield.checkpoint.fast_tokenizer import FastTokenizer
from jackfield.config import EngineConfig
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.sampling import Structured
from jackfield_testing.conformance.structured_output import StructuredOutputKit
from jackfield_testing.plugins import load_plugin
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, ByteTokenizer

pytest.importorskip("xgrammar", reason="xgrammar is installed without what it names (make test)")

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "yz"]}, "b": {"type": "boolean"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
TAGS = {
    "structures": [
        {"begin": "<call=add>", "schema": SCHEMA, "end": "</call>"},
        {"begin": "<call=now>", "schema": {"const": 1}, "end": "</call>"},
    ],
    "triggers": ["<call="],
}


def fits_schema(text):
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


class TestXgrammar(StructuredOutputKit):
    name = "xgrammar"
    samples = (
        ({"json": SCHEMA}, fits_schema),
        ({"regex": "(ab|c){1,3}-[0-9]{2}"}, re.compile("(ab|c){1,3}-[0-9]{2}").fullmatch),
        ({"grammar": 'root ::= "a" (" b" | " cd") "!"'}, {"a b!", "a cd!"}.__contains__),
        ({"grammar": 'start: "a" (" b" | " cd") "!"'}, {"a b!", "a cd!"}.__contains__),
        ({"choice": ["a", "ab", 'g"un\n']}, {"a", "ab", 'g"un\n'}.__contains__),
    )


@pytest.fixture(scope="module")
def make_compiler():
    def make(**options):
        card = load_plugin("jackfield.structured_output", "xgrammar")
        vocabulary = Vocabulary(
            tokenizer=ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=(END_TOKEN_ID,)
        )
        return card.create(vocabulary, EngineConfig(options={"xgrammar": options}))

    return make


@pytest.fixture(scope="module")
def compiler(make_compiler):
    return make_compiler()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"json": "{"}, "no JSON"),
        ({"json": '{"a":' * 100_000}, "max_bytes"),
        ({"json": {"not": {"type": "string"}}}, "write what is allowed"),
        ({"json": {"minimum": 3, "minLength": 3}}, 'add "type": "'),
        ({"json": {"type": "array", "items": {"$ref": "other.json"}}}, "items: 'other.json' leads"),
        ({"json": {"enum": ["a"], "minLength": 2}}, "'minLength' would be passed over"),
        ({"json": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}}, "leads to itself"),
        ({"json": {"enum": ["w"] * 6_000}}, "max_parts"),
        ({"regex": "(a"}, "not closed"),
        ({"regex": "a$b"}, "only honoured at the ends"),
        ({"regex": r"\Aab"}, "escape"),
        ({"grammar": "start: nothing"}, "nothing"),
        ({"choice": [""]}, "list of texts"),
        ({"structural_tag": {"structures": []}}, "must be"),
        (
            {"structural_tag": {**TAGS, "triggers": ["<other"]}},
            "'<call=add>' begins with none of its triggers",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(compiler, given, words):
    with pytest.raises(RequestError, match=re.escape(words)):
        compiler.compile(Structured.of(given))


def test_equal_schemas_are_compiled_once(compiler):
    first = compiler.compile(Structured.of({"json": SCHEMA}))

    assert compiler.compile(Structured.of({"json": SCHEMA})) is first


def test_no_document_gets_through_that_its_schema_refuses(judge_schemas):
    """Of the JSON Schema Test Suite: a schema is honoured or refused."""
    wrong, counts = judge_schemas("xgrammar")

    assert wrong == []
    assert counts["accepted"] > 100
    assert counts["valid"] > 150
    assert counts["drawn"] > 150


def test_a_trigger_must_be_followed_by_what_its_schema_says(compiler):
    state = compiler.compile(Structured.of({"structural_tag": TAGS})).start()

    taken = b"Let me see. <call=now>1</call> And"
    assert all(state.accept(byte) for byte in taken)
    assert all(state.accept(byte) for byte in b"<call=")
    assert not state.accept(ord("x"))
    assert all(state.accept(byte) for byte in b'add>{"a": "x", "b": true}</call>')


def test_a_grammar_that_takes_long_holds_nobody_up(make_compiler):
    compiler = make_compiler(max_compile_s=0.02)
    before = threading.active_count()
    began_s = time.monotonic()

    with pytest.raises(RequestError, match="max_compile_s"):
        compiler.compile(
            Structured.of({"json": {"enum": [f"word number {i}" for i in range(2_000)]}})
        )

    assert time.monotonic() - began_s < 1
    while threading.active_count() > before:
        time.sleep(0.05)


def test_tokens_of_a_tokenizer_file_are_known_by_their_bytes():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["der grüne Baum ist grün"] * 3, trainer)
    tokenizer = FastTokenizer(backend, end_token_ids=[0])
    card = load_plugin("jackfield.structured_output", "xgrammar")
    vocabulary = Vocabulary(tokenizer=tokenizer, size=tokenizer.vocab_size, end_token_ids=(0,))
    state = (
        card.create(vocabulary, EngineConfig())
        .compile(Structured.of({"choice": ["grün ist", "rot"]}))
        .start()
    )

    assert all(state.accept(t) for t in tokenizer.encode("grün ist", add_special_tokens=False))
    assert state.accept(0)
    assert state.is_finished
