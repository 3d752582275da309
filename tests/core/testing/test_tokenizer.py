import pytest
from tokenizers import Tokenizer

from jackfield.testing.tokenizer import END_TOKEN_ID, ByteTokenizer, write_byte_tokenizer

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


@pytest.mark.parametrize("text", TEXTS)
def test_the_written_tokenizer_is_the_same(tmp_path, text):
    write_byte_tokenizer(tmp_path)
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    assert written.encode(text).ids == ByteTokenizer().encode(text)
    assert written.decode(ByteTokenizer().encode(text)) == text
