"""The kit of tokenizers: text comes back unchanged, whole or in pieces, and only text and ids are returned."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.discovery.kinds import TOKENIZERS
from jackfield.errors import ModelError, RequestError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.text.detokenizer import Detokenizer
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.damage import DAMAGES, damaged, held_files
from jackfield_testing.conformance.samples import files_of_no_kind
from jackfield_testing.tokenizer import ECHO_TOKEN_ID, END_TOKEN_ID, write_byte_tokenizer

ASCII_TEXTS = (
    "The capital of France is Paris.",
    "def f(x):\n    return {'a': x[1:2]}\n\n\n    # done\t\t",
    " a space in front, and two behind  ",
    "3.14159 1e-5 v2.0 <x> & %20 \\n ~",
    "one line\r\nanother\ra third\n",
)
TEXTS = (
    *ASCII_TEXTS,
    # Composed, and a letter with a combining mark.
    "na\u00efve caf\u00e9, \u00dcn\u00efc\u00f6d\u00e9 and e\u0301",
    "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f389\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001d54f",  # four bytes each, joined
    "a\u00a0b\u200bc\ufeffd",  # invisible spaces
    "\x00 \x07 \x1b[1m \x7f",  # control characters, as terminals write them
)
_MANY_BYTES = "\u00e9\u6771\U0001f389\U00010348\U000e0041"
_MANY_IDS = 2048  # ids that are decoded one by one
_LAST_IDS = 64  # the last ids, which are added tokens
_BEYOND = (0, 63)  # ids after the last one, as for padded embeddings
_ROUNDS = 10  # with two threads at once
_MANY_PIECES = 64  # of each text
_REPEATS = 400  # repetitions that make a text long
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIds:
    """Right ids, from the makers of a vocabulary or from the library that the model was trained with."""

    # Text -> ids without and with special tokens.
    texts: Mapping[str, tuple[Sequence[int], Sequence[int]]]
    end_token_ids: Sequence[int]  # in any order


class TokenizerKit(CardKit):
    """A third party's test file names the entry point, and overrides the fixture `sample` to write its own files.

    `known` has ids that are right. `texts` must come back unchanged: if the vocabulary cannot express all of them,
    use fewer (ASCII_TEXTS).
    """

    kind = TOKENIZERS
    texts: ClassVar[Sequence[str]] = TEXTS

    @pytest.fixture
    def sample(self, tmp_path: Path) -> ModelFiles:
        """Files of a tokenizer of this format. Override it. The default is a tokenizer.json whose tokens are bytes."""
        folder = tmp_path / "sample"
        folder.mkdir()
        write_byte_tokenizer(folder, begins=True)
        files = ModelFiles(reference=str(folder), path=folder)
        self.require_sample(files, tmp_path)
        return files

    @pytest.fixture
    def known(self) -> KnownIds:
        """Ids that are right for the sample, from another source than the plugin. Override it with the sample."""
        if "sample" in self.overridden():
            self.not_shown("give ids that are right for the sample with the fixture `known`")
        ids = {text: list(text.encode()) for text in self.texts}
        return KnownIds(
            texts={text: (plain, [ECHO_TOKEN_ID, *plain]) for text, plain in ids.items()},
            end_token_ids=(END_TOKEN_ID,),
        )

    @pytest.fixture
    def needs(self, sample: ModelFiles, tmp_path: Path) -> tuple[ModelFiles, ...]:
        """The sample, and files of no format."""
        return (sample, *files_of_no_kind(tmp_path))

    @pytest.fixture
    def tokenizer(self, card: TokenizerFormat, sample: ModelFiles) -> Tokenizer:
        """The opened sample."""
        return card.open(sample)

    def test_its_own_files_are_taken(self, card: TokenizerFormat, sample: ModelFiles) -> None:
        """`check` takes them; a selection asks nothing else."""
        assert card.check(sample, self.facts()) == ()

    def test_other_files_are_refused(self, card: TokenizerFormat, tmp_path: Path) -> None:
        """`check` refuses them, and `open` raises a ModelError."""
        if card.only_named:
            pytest.skip("is taken only where it is named, whatever the files")
        for files in files_of_no_kind(tmp_path):
            assert card.check(files, self.facts()), f"{files.path.name} is taken"
            with pytest.raises(ModelError):
                card.open(files)

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_broken_file_is_a_model_error(
        self, card: TokenizerFormat, sample: ModelFiles, tmp_path: Path, damage: str
    ) -> None:
        """If the file has nothing that is needed, it may also open, and then yields the same ids."""
        right = [_encode(card.open(sample), text) for text in self.texts]
        for copied, broken in damaged(sample.path, DAMAGES[damage], tmp_path / "broken"):
            try:
                opened = card.open(ModelFiles(reference=str(copied), path=copied))
            except ModelError:
                continue
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                pytest.fail(f"{broken.name} ({damage}) raises {what}, not a ModelError")
            found = [_encode(opened, text) for text in self.texts]
            assert found == right, f"{broken.name} ({damage}) is taken for another vocabulary"

    def test_no_file_stays_open(self, card: TokenizerFormat, sample: ModelFiles) -> None:
        """No file is open when the tokenizer is deleted; there is no close."""
        card.open(sample)
        gc.collect()
        assert held_files(sample.path) == set()

    def test_ids_are_those_that_models_were_trained_with(
        self, tokenizer: Tokenizer, known: KnownIds
    ) -> None:
        """With other ids text comes back too, but the model would read nonsense."""
        for text, (plain, special) in known.texts.items():
            assert _encode(tokenizer, text) == list(plain), text
            assert tokenizer.encode(text) == list(special), f"{text!r} with special tokens"

    def test_texts_end_where_those_of_the_model_do(
        self, tokenizer: Tokenizer, known: KnownIds
    ) -> None:
        """With other ids answers would be cut short, or run to their limit."""
        assert set(tokenizer.end_token_ids) == set(known.end_token_ids)

    def test_ids_are_whole_numbers_of_the_vocabulary(self, tokenizer: Tokenizer) -> None:
        """Ids come in a list, with and without special tokens."""
        size = tokenizer.vocab_size
        assert type(size) is int
        for text in self.texts:
            for is_special in (True, False):
                ids = tokenizer.encode(text, add_special_tokens=is_special)
                assert isinstance(ids, list), f"encode returned a {type(ids).__name__}"
                wrong = [i for i in ids if type(i) is not int or not 0 <= i < size]
                assert wrong == [], f"{text!r} has ids that are none of 0 to {size - 1}"

    def test_end_tokens_are_ids_of_the_vocabulary(self, tokenizer: Tokenizer) -> None:
        """They are a tuple without repetitions."""
        ends = tokenizer.end_token_ids
        assert isinstance(ends, tuple), f"end_token_ids is a {type(ends).__name__}"
        assert all(type(i) is int and 0 <= i < tokenizer.vocab_size for i in ends), ends
        assert len(set(ends)) == len(ends), ends

    def test_text_comes_back_as_it_went_in(self, tokenizer: Tokenizer) -> None:
        """Every character of `texts` comes back."""
        for text in self.texts:
            assert tokenizer.decode(_encode(tokenizer, text)) == text

    def test_a_long_text_is_not_cut(self, tokenizer: Tokenizer) -> None:
        """The engine decides which text is too long, and reports it."""
        text = max(self.texts, key=len) * _REPEATS
        assert tokenizer.decode(_encode(tokenizer, text)) == text

    def test_nothing_is_nothing(self, tokenizer: Tokenizer) -> None:
        """An empty text has no ids, and no ids have an empty text."""
        assert _encode(tokenizer, "") == []
        assert tokenizer.decode([]) == ""

    def test_special_tokens_stand_around_the_text(self, tokenizer: Tokenizer) -> None:
        """The ids of the text stand between them, unchanged. Decoding leaves the special tokens out."""
        for text in self.texts:
            plain, special = _encode(tokenizer, text), tokenizer.encode(text)
            places = range(len(special) - len(plain) + 1)
            assert any(special[i : i + len(plain)] == plain for i in places), text
            assert tokenizer.decode(special) == tokenizer.decode(plain)

    def test_special_tokens_are_shown_where_that_is_asked(self, tokenizer: Tokenizer) -> None:
        """The tokens are those that `encode` adds, and those that end a text."""
        ids = {*tokenizer.encode(""), *tokenizer.end_token_ids}
        hidden = [i for i in ids if not tokenizer.decode([i], skip_special_tokens=False)]
        assert hidden == [], "decode(skip_special_tokens=False) hides these ids"

    def test_streamed_text_is_the_whole_text(self, tokenizer: Tokenizer) -> None:
        """Tokens are decoded one by one, as in an engine, also after a prompt."""
        for text in self.texts:
            ids = _encode(tokenizer, text)
            whole = tokenizer.decode(ids)
            for start in sorted({0, 1, len(ids) // 2, len(ids) - 1}):
                shown = tokenizer.decode(ids[:start]).rstrip(_REPLACEMENT)
                assert shown + "".join(_stream(tokenizer, ids, start)) == whole, (text, start)

    def test_no_piece_of_a_stream_holds_half_a_character(self, tokenizer: Tokenizer) -> None:
        """A character whose bytes are several tokens is shown when it is complete."""
        for text in self.texts:
            ids = _encode(tokenizer, text)
            halves = [piece for piece in _stream(tokenizer, ids, 0) if _REPLACEMENT in piece]
            assert halves == [], text

    def test_bytes_that_are_no_whole_character_leave_a_mark(self, tokenizer: Tokenizer) -> None:
        """The mark is U+FFFD. A decoder that drops the bytes would lose text of the model."""
        is_tried = False
        for letter in _MANY_BYTES:
            ids = _encode(tokenizer, letter)
            if len(ids) > 1 and tokenizer.decode(ids) == letter:
                is_tried = True
                assert tokenizer.decode(ids[-1:]) != "", f"the last token of {letter!r} has no text"
        if not is_tried:
            pytest.skip("has a token for every character that was tried, or none")

    def test_every_id_can_be_decoded(self, tokenizer: Tokenizer) -> None:
        """A model may write any id. It stands in a list or a tuple, alone or after others."""
        size = tokenizer.vocab_size
        step = max(1, size // _MANY_IDS)
        ids = sorted({*range(0, size, step), *range(max(0, size - _LAST_IDS), size)})
        for skip in (True, False):
            for i in ids:
                text = tokenizer.decode((i,), skip_special_tokens=skip)
                assert isinstance(text, str), f"id {i} decodes to a {type(text).__name__}"
            assert tokenizer.decode(list(ids), skip_special_tokens=skip) == tokenizer.decode(
                tuple(ids), skip_special_tokens=skip
            )

    def test_ids_beyond_the_vocabulary_are_no_text(self, tokenizer: Tokenizer) -> None:
        """They cause no error either, which would end other requests: a padded embedding has rows for them."""
        text = self.texts[0]
        ids = [*_encode(tokenizer, text), *(tokenizer.vocab_size + place for place in _BEYOND)]
        for skip in (True, False):
            assert tokenizer.decode(ids, skip_special_tokens=skip) == text

    def test_decoding_leaves_its_ids_as_they_are(self, tokenizer: Tokenizer) -> None:
        """The list belongs to the engine."""
        ids = _encode(tokenizer, max(self.texts, key=len) * 3)
        before = list(ids)
        tokenizer.decode(ids)
        assert ids == before

    def test_text_that_is_none_is_refused_as_the_request_of_a_user(
        self, tokenizer: Tokenizer
    ) -> None:
        """Half a surrogate pair gives ids or a RequestError, which ends only that request."""
        try:
            ids = tokenizer.encode("half \ud83c a pair")
        except RequestError:
            return
        assert all(0 <= i < tokenizer.vocab_size for i in ids)

    def test_answers_do_not_depend_on_what_was_asked_before(
        self, card: TokenizerFormat, sample: ModelFiles, tokenizer: Tokenizer
    ) -> None:
        """A newly opened tokenizer gives the same answers."""
        first = [_both(tokenizer, text) for text in self.texts]
        again = [_both(tokenizer, text) for text in reversed(self.texts)]
        other = card.open(sample)
        assert again[::-1] == first
        assert [_both(other, text) for text in self.texts] == first

    def test_it_may_move_between_threads(self, tokenizer: Tokenizer) -> None:
        """It is opened on one thread and used on others."""
        here = [_both(tokenizer, text) for text in self.texts]
        for _ in range(3):
            there = _in_a_new_thread(lambda: [_both(tokenizer, text) for text in self.texts])
            assert there == here

    def test_two_threads_may_use_it_at_once(self, tokenizer: Tokenizer) -> None:
        """One thread encodes prompts while another decodes answers."""
        texts = tuple(self.texts), tuple(reversed(self.texts))
        right = [_all(tokenizer, some) for some in texts]
        with _hasty_threads(), ThreadPoolExecutor(2) as pool:
            for _ in range(_ROUNDS):
                assert list(pool.map(_all, (tokenizer, tokenizer), texts)) == right

    def test_a_piece_is_what_its_token_adds(self, tokenizer: Tokenizer) -> None:
        """The piece follows any finished text, and is the same whether special tokens are shown or not."""
        for text in self.texts:
            ids = _encode(tokenizer, text)
            for place, token_id in enumerate(ids[:_MANY_PIECES]):
                piece = tokenizer.piece(token_id)
                before, now = tokenizer.decode(ids[:place]), tokenizer.decode(ids[: place + 1])
                if piece is not None and before and not before.endswith(_REPLACEMENT):
                    assert now == before + piece, f"piece({token_id}) is {piece!r} in {text!r}"
        for token_id in tokenizer.end_token_ids:
            assert tokenizer.piece(token_id) is None, "special tokens are skipped, or not"

    def test_a_conversation_becomes_a_prompt(self, tokenizer: Tokenizer) -> None:
        """The prompt contains the messages. The messages stay unchanged, and a second call gives the same prompt."""
        messages = [{"role": "user", "content": "Why is the sky blue?"}]
        before = copy.deepcopy(messages)
        try:
            text = tokenizer.apply_chat_template(messages)
        except RequestError as error:
            pytest.skip(str(error))
        assert isinstance(text, str)
        assert before[0]["content"] in text
        assert messages == before, "the template changed the messages"
        assert tokenizer.apply_chat_template(messages) == text

    def test_a_conversation_of_several_turns_is_told_in_order(self, tokenizer: Tokenizer) -> None:
        """The order begins with the first turn: the model knows nothing else."""
        text = _prompt(tokenizer)
        places = [text.find(turn["content"]) for turn in _TURNS]
        assert -1 not in places, f"the prompt {text!r} lacks turns"
        assert places == sorted(places), text

    def test_the_start_of_an_answer_is_added_where_it_is_asked(self, tokenizer: Tokenizer) -> None:
        """`add_generation_prompt` is true by default. Otherwise a model may write the user's next turn."""
        text, bare = _prompt(tokenizer), _prompt(tokenizer, add_generation_prompt=False)
        assert _prompt(tokenizer, add_generation_prompt=True) == text
        if text == bare and "sample" in self.overridden():
            self.not_shown("the sample's template does not tell the start of an answer apart")
        assert text != bare

    @pytest.mark.parametrize("messages", [[], [{}], [{"role": "nobody", "content": None}]], ids=str)
    def test_a_conversation_that_is_none_is_refused_as_the_request_of_a_user(
        self, tokenizer: Tokenizer, messages: list[dict[str, str]]
    ) -> None:
        """The result is a text or a RequestError."""
        try:
            text = tokenizer.apply_chat_template(messages)
        except RequestError:
            return
        assert isinstance(text, str)


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


_TURNS = (
    {"role": "user", "content": "first-words"},
    {"role": "assistant", "content": "second-words"},
    {"role": "user", "content": "third-words"},
)


def _prompt(tokenizer: Tokenizer, **values: bool) -> str:
    try:
        return tokenizer.apply_chat_template(copy.deepcopy(_TURNS), **values)
    except RequestError as error:
        pytest.skip(str(error))


def _all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[tuple[list[int], str]]:
    return [_both(tokenizer, text) for text in texts]


@contextmanager
def _hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _both(tokenizer: Tokenizer, text: str) -> tuple[list[int], str]:
    ids = tokenizer.encode(text)
    return ids, tokenizer.decode(ids, skip_special_tokens=False)


def _stream(tokenizer: Tokenizer, ids: Sequence[int], start: int) -> list[str]:
    detokenizer = Detokenizer(tokenizer, ids[:start])
    pieces = [detokenizer.push((i,)) for i in ids[start:]]
    return [*pieces, detokenizer.flush()]


def _in_a_new_thread(do: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result()
