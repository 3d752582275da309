"""The kit of tokenizers passes a sound one and notices planted faults."""

import pytest

from jackfield_testing.conformance.run import run_kit
from jackfield_testing.conformance.tokenizer import ASCII_TEXTS, TokenizerKit

pytestmark = pytest.mark.thorough

MUTANTS = {  # the fault: the test that is there to notice it
    "FoldingFormat": "test_text_comes_back_as_it_went_in",
    "QuestioningFormat": "test_streamed_text_is_the_whole_text",
    "SinglyFormat": "test_no_piece_of_a_stream_holds_half_a_character",
    "DroppingFormat": "test_bytes_that_are_no_whole_character_leave_a_mark",
    "WaryFormat": "test_text_that_is_none_is_refused_as_the_request_of_a_user",
    "SettledFormat": "test_it_may_move_between_threads",
    "BluntFormat": "test_a_conversation_that_is_none_is_refused_as_the_request_of_a_user",
    "RawError": "test_a_broken_file_is_a_model_error[empty]",
    "PermutedFormat": "test_ids_are_those_that_models_were_trained_with",
    "TwiceStartFormat": "test_ids_are_those_that_models_were_trained_with",
    "WrongEndFormat": "test_texts_end_where_those_of_the_model_do",
    "StrippingFormat": "test_text_comes_back_as_it_went_in",
    "RacingFormat": "test_two_threads_may_use_it_at_once",
    "NeighbourFormat": "test_a_piece_is_what_its_token_adds",
}


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(TokenizerKit, "tokenizer_mutants:SoundFormat"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(
        kit_of(TokenizerKit, f"tokenizer_mutants:{fault}"), noticed_by.partition("[")[0]
    )

    assert any(test.startswith(noticed_by) for test in report.of("failed"))


def test_a_vocabulary_that_cannot_say_all_names_the_texts_that_it_can(kit_of):
    kit = kit_of(TokenizerKit, "tokenizer_mutants:FoldingFormat", texts=ASCII_TEXTS)

    assert run_kit(kit).of("failed") == ()
