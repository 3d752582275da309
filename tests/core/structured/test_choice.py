"""Structured output of the form `choice`: what it compiles, what it refuses, and the kit of its kind."""

import pytest

from jackfield.config import EngineConfig
from jackfield.errors import RequestError
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.sampling import Structured
from jackfield.structured.choice import ChoiceOutput
from jackfield_testing.conformance.structured_output import StructuredOutputKit
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, ByteTokenizer


class WordTokenizer(ByteTokenizer):
    """Writes the first word of a text with a blank before it, as SentencePiece does."""

    def encode(self, text, *, add_special_tokens=True):
        return super().encode(" " + text, add_special_tokens=add_special_tokens)

    def decode(self, token_ids, *, skip_special_tokens=True):
        text = super().decode(token_ids, skip_special_tokens=skip_special_tokens)
        return text.removeprefix(" ")


def compile_(*texts, tokenizer=None, ends=(END_TOKEN_ID,)):
    vocabulary = Vocabulary(
        tokenizer=tokenizer or ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=ends
    )
    compiler = ChoiceOutput().create(vocabulary, EngineConfig())
    return compiler.compile(Structured("choice", texts)).start()


def follow(state, text):
    return all(state.accept(token_id) for token_id in text.encode())


def test_an_answer_is_finished_where_nothing_can_follow():
    state = compile_("yes", "no")

    assert follow(state, "no")
    assert state.is_finished


def test_a_text_with_which_another_begins_ends_with_an_end_token():
    state = compile_("yes", "yesterday")
    assert follow(state, "yes")
    assert not state.is_finished

    assert state.accept(END_TOKEN_ID)
    assert state.is_finished


def test_without_end_tokens_such_texts_are_refused():
    with pytest.raises(RequestError, match="leave out one of them"):
        compile_("yes", "yesterday", ends=())


def test_texts_are_written_as_in_the_middle_of_a_text():
    state = compile_("yes", tokenizer=WordTokenizer())

    assert follow(state, "yes")
    assert state.is_finished


def test_what_must_follow_is_told_up_to_the_next_fork():
    state = compile_("the first", "the last")

    assert bytes(state.forced()) == b"the "
    assert follow(state, "the f")
    assert bytes(state.forced()) == b"irst"
    assert follow(state, "irst")
    assert state.forced() == []


@pytest.mark.parametrize("value", [(), ("",), "yes", (1,)], ids=repr)
def test_what_is_no_list_of_texts_is_refused(value):
    vocabulary = Vocabulary(tokenizer=ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=())
    compiler = ChoiceOutput().create(vocabulary, EngineConfig())

    with pytest.raises(RequestError, match=r"structured\.choice must"):
        compiler.compile(Structured("choice", value))


def test_a_choice_of_very_many_texts_is_refused_before_they_are_encoded():
    texts = tuple(str(number) for number in range(1_000_000))
    compiler = ChoiceOutput().create(Vocabulary(tokenizer=None, size=1, end_token_ids=()), None)

    with pytest.raises(RequestError, match="1000000 texts of 5888890 characters"):
        compiler.compile(Structured("choice", texts))


class TestConformance(StructuredOutputKit):
    name = "choice"
    samples = (
        ({"choice": ["yes", "no"]}, ("yes", "no").__contains__),
        ({"choice": ["a", "ab", "grün"]}, ("a", "ab", "grün").__contains__),
    )
