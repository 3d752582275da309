"""The kit of tokenizers passes a sound one and notices planted faults."""

import pytest

from jackfield_testing.conformance.run import run_kit
from jackfield_testing.conformance.tokenizer import ASCII_TEXTS, TokenizerKit

MUTANTS = {  # the fault: the test that is there to notice it
    "FoldingFormat": "test_text_comes_back_as_it_went_in",
    "CuttingFormat": "test_a_long_text_is_not_cut",
    "TuplesFormat": "test_ids_are_whole_numbers_of_the_vocabulary",
    "SmallFormat": "test_ids_are_whole_numbers_of_the_vocabulary",
    "EndListFormat": "test_end_tokens_are_ids_of_the_vocabulary",
    "EndBeyondFormat": "test_end_tokens_are_ids_of_the_vocabulary",
    "QuestioningFormat": "test_streamed_text_is_the_whole_text",
    "SinglyFormat": "test_no_piece_of_a_stream_holds_half_a_character",
    "DroppingFormat": "test_bytes_that_are_no_whole_character_leave_a_mark",
    "ShyFormat": "test_special_tokens_are_shown_where_that_is_asked",
    "ChattyFormat": "test_special_tokens_stand_around_the_text",
    "ListsFormat": "test_every_id_can_be_decoded",
    "WaryFormat": "test_text_that_is_none_is_refused_as_the_request_of_a_user",
    "RememberingFormat": "test_answers_do_not_depend_on_what_was_asked_before",
    "SettledFormat": "test_it_may_move_between_threads",
    "ConsumingFormat": "test_a_conversation_becomes_a_prompt",
    "BluntFormat": "test_a_conversation_that_is_none_is_refused_as_the_request_of_a_user",
    "TakesAll": "test_other_files_are_refused",
    "RawError": "test_a_broken_file_is_a_model_error[empty]",
    "FallsBack": "test_a_broken_file_is_a_model_error[cut in half]",
    "KeepsFile": "test_no_file_stays_open",
    "PermutedFormat": "test_ids_are_those_that_models_were_trained_with",
    "WrongStartFormat": "test_ids_are_those_that_models_were_trained_with",
    "TwiceStartFormat": "test_ids_are_those_that_models_were_trained_with",
    "NoSpecialFormat": "test_ids_are_those_that_models_were_trained_with",
    "WrongEndFormat": "test_texts_end_where_those_of_the_model_do",
    "NoEndFormat": "test_texts_end_where_those_of_the_model_do",
    "LinesFormat": "test_text_comes_back_as_it_went_in",
    "StrippingFormat": "test_text_comes_back_as_it_went_in",
    "BeyondRaisesFormat": "test_ids_beyond_the_vocabulary_are_no_text",
    "LastRaisesFormat": "test_every_id_can_be_decoded",
    "ChangingFormat": "test_decoding_leaves_its_ids_as_they_are",
    "RacingFormat": "test_two_threads_may_use_it_at_once",
    "NeighbourFormat": "test_a_piece_is_what_its_token_adds",
    "LastMessageFormat": "test_a_conversation_of_several_turns_is_told_in_order",
    "NoStartFormat": "test_the_start_of_an_answer_is_added_where_it_is_asked",
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
