import pytest
from tokenizers import Tokenizer

from jackfield_testing.tokenizer import (
    ECHO_TOKEN_ID,
    END_TOKEN_ID,
    VOCAB_SIZE,
    ByteTokenizer,
    write_byte_tokenizer,
)

TEXTS = ["plain", "größer, 日本, 🙂", "tabs\tand\nlines", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives(text):
    tokenizer = ByteTokenizer()

    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_character_may_take_several_tokens():
    tokenizer = ByteTokenizer()
    first, *rest = tokenizer.encode("é")

    assert tokenizer.decode([first]) == "\ufffd"
    assert tokenizer.decode([first, *rest]) == "é"


def test_special_tokens_can_be_shown():
    token_ids = [*b"end", END_TOKEN_ID]

    assert ByteTokenizer().decode(token_ids) == "end"
    assert ByteTokenizer().decode(token_ids, skip_special_tokens=False) == "end<end>"


@pytest.mark.parametrize("skip", [True, False])
def test_an_id_that_there_is_not_has_no_text(skip):
    assert ByteTokenizer().decode([*b"a", VOCAB_SIZE, *b"b"], skip_special_tokens=skip) == "ab"


def test_texts_of_the_written_tokenizer_begin_with_a_token_where_that_is_asked(tmp_path):
    write_byte_tokenizer(tmp_path, begins=True)
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    assert written.encode("a").ids == [ECHO_TOKEN_ID, *b"a"]
    assert written.encode("a", add_special_tokens=False).ids == [*b"a"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_written_tokenizer_is_the_same(tmp_path, text):
    write_byte_tokenizer(tmp_path)
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    assert written.encode(text).ids == ByteTokenizer().encode(text)
    assert written.decode(ByteTokenizer().encode(text)) == text
