# Part of: jackfield_testing 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import TOKENIZERS
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.interfaces.tokenizer import TokenizerFormat
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.damage import DAMAGES
ASCII_TEXTS = ...
TEXTS = ...
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIds:
    texts: Mapping[str, tuple[Sequence[int], Sequence[int]]]
    end_token_ids: Sequence[int]
class TokenizerKit(CardKit):
    kind = TOKENIZERS
    texts: ClassVar[Sequence[str]] = TEXTS

    @pytest.fixture
    def sample(self, tmp_path: Path) -> ModelFiles:
        ...

    @pytest.fixture
    def known(self) -> KnownIds:
        ...

    @pytest.fixture
    def needs(self, sample: ModelFiles, tmp_path: Path) -> tuple[ModelFiles, ...]:
        ...

    @pytest.fixture
    def tokenizer(self, card: TokenizerFormat, sample: ModelFiles) -> Tokenizer:
        ...

    def test_its_own_files_are_taken(self, card: TokenizerFormat, sample: ModelFiles) -> None:
        ...

    def test_other_files_are_refused(self, card: TokenizerFormat, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('damage', DAMAGES)
    def test_a_broken_file_is_a_model_error(self, card: TokenizerFormat, sample: ModelFiles, tmp_path: Path, damage: str) -> None:
        ...

    def test_no_file_stays_open(self, card: TokenizerFormat, sample: ModelFiles) -> None:
        ...

    def test_ids_are_those_that_models_were_trained_with(self, tokenizer: Tokenizer, known: KnownIds) -> None:
        ...

    def test_texts_end_where_those_of_the_model_do(self, tokenizer: Tokenizer, known: KnownIds) -> None:
        ...

    def test_ids_are_whole_numbers_of_the_vocabulary(self, tokenizer: Tokenizer) -> None:
        ...

    def test_end_tokens_are_ids_of_the_vocabulary(self, tokenizer: Tokenizer) -> None:
        ...

    def test_text_comes_back_as_it_went_in(self, tokenizer: Tokenizer) -> None:
        ...

    def test_a_long_text_is_not_cut(self, tokenizer: Tokenizer) -> None:
        ...

    def test_nothing_is_nothing(self, tokenizer: Tokenizer) -> None:
        ...

    def test_special_tokens_stand_around_the_text(self, tokenizer: Tokenizer) -> None:
        ...

    def test_special_tokens_are_shown_where_that_is_asked(self, tokenizer: Tokenizer) -> None:
        ...

    def test_streamed_text_is_the_whole_text(self, tokenizer: Tokenizer) -> None:
        ...

    def test_no_piece_of_a_stream_holds_half_a_character(self, tokenizer: Tokenizer) -> None:
        ...

    def test_bytes_that_are_no_whole_character_leave_a_mark(self, tokenizer: Tokenizer) -> None:
        ...

    def test_every_id_can_be_decoded(self, tokenizer: Tokenizer) -> None:
        ...

    def test_ids_beyond_the_vocabulary_are_no_text(self, tokenizer: Tokenizer) -> None:
        ...

    def test_decoding_leaves_its_ids_as_they_are(self, tokenizer: Tokenizer) -> None:
        ...

    def test_text_that_is_none_is_refused_as_the_request_of_a_user(self, tokenizer: Tokenizer) -> None:
        ...

    def test_answers_do_not_depend_on_what_was_asked_before(self, card: TokenizerFormat, sample: ModelFiles, tokenizer: Tokenizer) -> None:
        ...

    def test_it_may_move_between_threads(self, tokenizer: Tokenizer) -> None:
        ...

    def test_two_threads_may_use_it_at_once(self, tokenizer: Tokenizer) -> None:
        ...

    def test_a_piece_is_what_its_token_adds(self, tokenizer: Tokenizer) -> None:
        ...

    def test_a_conversation_becomes_a_prompt(self, tokenizer: Tokenizer) -> None:
        ...

    def test_a_conversation_of_several_turns_is_told_in_order(self, tokenizer: Tokenizer) -> None:
        ...

    def test_the_start_of_an_answer_is_added_where_it_is_asked(self, tokenizer: Tokenizer) -> None:
        ...

    @pytest.mark.parametrize('messages', [[], [{}], [{'role': 'nobody', 'content': None}]], ids=str)
    def test_a_conversation_that_is_none_is_refused_as_the_request_of_a_user(self, tokenizer: Tokenizer, messages: list[dict[str, str]]) -> None:
        ...
