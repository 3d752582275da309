import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from jackfield.checkpoint.fast_tokenizer import FastTokenizer
from jackfield.text.detokenizer import Detokenizer
from jackfield.text.pieces import Pieces
from jackfield_testing.tokenizer import END_TOKEN_ID, ByteTokenizer

BYTES = ByteTokenizer()
WORDS = ["\u2581the", "\u2581cat", "s", ",", "\u2581", "\u2581na\u00efve", "\u2581\u65e5\u672c"]


def fallback_tokenizer(*, strips=True):
    """As Llama 2 decodes: words with a space in front, bytes for all else; a run with a bad byte is all U+FFFD."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    vocab |= {word: 256 + number for number, word in enumerate(WORDS)}
    inner = RustTokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    if strips:
        steps.append(decoders.Strip(content=" ", left=1))
    inner.decoder = decoders.Sequence(steps)
    inner.add_special_tokens(["<s>"])
    return FastTokenizer(inner)


def byte_level_tokenizer():
    """As GPT-2 decodes; words and parts of characters are tokens."""
    inner = RustTokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(["the cat \u65e5\u672c \U0001f600 na\u00efve"] * 5, trainer)
    inner.add_special_tokens(["<s>"])
    return FastTokenizer(inner)


def word_piece_tokenizer():
    """A decoder that cleans up spaces, so that no token has a piece of its own."""
    words = ["the", "##s", ",", "cat", "n't", "do"]
    inner = RustTokenizer(
        models.WordPiece(dict(zip(words, range(6), strict=True)), unk_token="the")
    )
    inner.decoder = decoders.WordPiece()
    return FastTokenizer(inner)


FALLBACK = fallback_tokenizer()
TOKENIZERS = {
    "bytes": BYTES,
    "byte fallback": FALLBACK,
    "byte fallback, no strip": fallback_tokenizer(strips=False),
    "byte level": byte_level_tokenizer(),
    "word piece": word_piece_tokenizer(),
}


class CountingTokenizer(ByteTokenizer):
    def __init__(self):
        self.num_decoded = 0
        self.longest = 0

    def piece(self, token_id):
        return None

    def decode(self, token_ids, *, skip_special_tokens=True):
        self.num_decoded += len(token_ids)
        self.longest = max(self.longest, len(token_ids))
        return super().decode(token_ids, skip_special_tokens=skip_special_tokens)


def pieces_of(tokenizer, token_ids, prompt=(), cuts=()):
    """What comes out, piece by piece; `cuts` are the numbers of tokens that come at once, then one by one."""
    detokenizer = Detokenizer(tokenizer, prompt)
    pieces, start = [], 0
    for size in (*cuts, *[1] * len(token_ids)):
        if start < len(token_ids):
            pieces.append(detokenizer.push(token_ids[start : start + size]))
            start += size
    return [*pieces, detokenizer.flush()]


@given(st.text(), st.text(max_size=20), st.lists(st.integers(1, 5)))
def test_pieces_make_the_text_of_all_tokens(text, prompt, cuts):
    pieces = pieces_of(BYTES, BYTES.encode(text), BYTES.encode(prompt), cuts)

    assert "".join(pieces) == text


@given(st.text(alphabet="aé日😀 ", min_size=1))
def test_no_character_is_split(text):
    pieces = pieces_of(BYTES, BYTES.encode(text))

    assert all("\ufffd" not in piece for piece in pieces)
    assert [len(piece) for piece in pieces if piece] == [1] * len(text)


@given(st.lists(st.integers(0, 255), max_size=60), st.lists(st.integers(1, 5)))
@example([0xFF] * 40 + list("日本".encode()), [])
@example([0x80, *"日".encode()] * 12, [])
def test_bytes_that_are_no_text_come_out_as_in_one_go(token_ids, cuts):
    assert "".join(pieces_of(BYTES, token_ids, cuts=cuts)) == BYTES.decode(token_ids)


fallback_tokens = st.lists(
    st.one_of(
        st.sampled_from([[256 + number] for number in range(len(WORDS))]),
        st.text(alphabet="é日😀~", min_size=1, max_size=4).map(lambda text: list(text.encode())),
    ),
    min_size=1,
).map(lambda parts: [token_id for part in parts for token_id in part])


@given(fallback_tokens, st.lists(st.integers(1, 5)))
def test_bytes_in_place_of_unknown_words_make_the_text_of_all_tokens(token_ids, cuts):
    assert "".join(pieces_of(FALLBACK, token_ids, cuts=cuts)) == FALLBACK.decode(token_ids)


@given(fallback_tokens, fallback_tokens)
def test_the_text_goes_on_where_the_prompt_ended(prompt, token_ids):
    text = "".join(pieces_of(FALLBACK, token_ids, prompt))

    assert FALLBACK.decode(prompt) + text == FALLBACK.decode(prompt + token_ids)


def test_the_first_word_keeps_its_space():
    the, cat = 256, 257

    assert "".join(pieces_of(FALLBACK, [cat], prompt=[the])) == " cat"


def test_a_character_that_the_prompt_began_is_shown_once_it_is_whole():
    first, *rest = "日".encode()

    assert "".join(pieces_of(BYTES, rest, prompt=[*b"see ", first])) == "日"


def test_bytes_that_never_make_a_character_are_not_held_back_for_ever():
    pieces = pieces_of(BYTES, [0xFF] * 100)[:-1]  # without the flush

    assert 90 < len("".join(pieces)) <= 100


def test_special_tokens_without_text_are_passed_over():
    token_ids = [*b"a", *[END_TOKEN_ID] * 500, *b"b"]

    assert "".join(pieces_of(BYTES, token_ids)) == "ab"


@pytest.mark.parametrize(
    "token_ids",
    [[*b"words and more words. "], [*"日本語の文章".encode()], [0xFF, 0xE6], [END_TOKEN_ID]],
    ids=["ascii", "multi-byte", "garbage", "nothing"],
)
def test_a_token_is_decoded_a_bounded_number_of_times(token_ids):
    tokenizer = CountingTokenizer()
    token_ids = (token_ids * 4000)[:4000]

    pieces_of(tokenizer, token_ids)

    assert tokenizer.longest <= 80
    assert tokenizer.num_decoded <= 80 * len(token_ids)


def test_a_prompt_that_is_half_a_character_is_completed():
    ids = BYTES.encode("\u6771")

    assert "".join(pieces_of(BYTES, ids[1:], prompt=ids[:1])) == "\u6771"


# However it is read


class NoPieces(Pieces):
    def __missing__(self, token_id):
        return None


# Runs of words, of whole characters, and of anything at all, also characters that are cut.
any_ids = st.lists(
    st.one_of(
        st.lists(st.integers(0, 310), max_size=4),
        st.lists(st.integers(0, 255), max_size=20),
        st.sampled_from(
            [[*text.encode()] for text in ("\u65e5\u672c", "\u00e9", "\U0001f600", " a")]
        ),
    ),
    max_size=12,
).map(lambda parts: [token_id for part in parts for token_id in part])


# Bytes that make no character for so long that they are given up, just before they would.
SPOILT = [*"\u65e5\u672c\u65e5\u672c".encode(), 128, 0, 0, 0, *"\U0001f600\U0001f600".encode(), 0, 0, *"\u65e5\u672c".encode()]  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=200, deadline=None)
@given(prompt=any_ids, token_ids=any_ids, cuts=st.lists(st.integers(1, 9)), skips=st.booleans())
@example(prompt=[], token_ids=SPOILT, cuts=[2, 9, 9, 9], skips=False)
def test_the_text_is_the_same_however_it_is_read(name, prompt, token_ids, cuts, skips):
    """Token by token, some at a time, or all at the end; with pieces and without."""
    tokenizer = TOKENIZERS[name]

    def begin(pieces=None):
        return Detokenizer(tokenizer, prompt, skip_special_tokens=skips, pieces=pieces)

    singly = begin()
    one_by_one = "".join([singly.push((i,)) for i in token_ids]) + singly.flush()
    some, start, text = begin(), 0, ""
    for size in cuts:
        text += some.push(token_ids[start : start + size])
        start += size

    assert begin().flush(token_ids) == one_by_one
    assert text + some.flush(token_ids[start:]) == one_by_one
    if name != "byte fallback":  # without a piece the space at the front of a window is stripped
        assert begin(NoPieces(tokenizer)).flush(token_ids) == one_by_one


@pytest.mark.parametrize("name", ["bytes", "byte level"])
@given(token_ids=any_ids)
def test_the_text_is_that_of_the_tokenizer(name, token_ids):
    tokenizer = TOKENIZERS[name]

    assert "".join(pieces_of(tokenizer, token_ids)) == tokenizer.decode(token_ids)


def test_bytes_that_spoil_a_run_leave_what_was_shown():
    token_ids = [*"\u65e5".encode(), 0xFF, 256]

    assert FALLBACK.decode(token_ids) == "\ufffd" * 4 + " the"
    assert Detokenizer(FALLBACK, ()).flush(token_ids) == "\u65e5\ufffd the"
