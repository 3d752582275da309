"""The kit of weight formats passes a sound one and notices planted faults."""

import pytest

from jackfield.testing.conformance.run import run_kit
from jackfield.testing.conformance.weight_format import WeightFormatKit

MUTANTS = {  # the fault: the test that is there to notice it
    "SharedBufferFormat": "test_reads_do_not_disturb_each_other",
    "OwnCacheFormat": "test_writing_into_a_buffer_does_not_change_the_checkpoint",
    "TransposedFormat": "test_tensors_are_those_that_were_stored",
    "ShortenedFormat": "test_tensors_are_those_that_were_stored",
    "ByteSwappedFormat": "test_reading_yields_what_was_stored",
    "TypedFormat": "test_reading_yields_bytes_of_the_size_that_was_said",
    "NamelessFormat": "test_a_tensor_that_is_not_there_is_an_error_that_names_it",
    "NoArchitectureFormat": "test_the_config_is_canonical",
    "LeakyFormat": "test_closing_releases_the_files",
    "OneAtATimeFormat": "test_two_may_be_open_at_once",
    "PaddingFormat": "test_a_broken_file_is_an_error_and_never_other_weights[cut in half]",
    "RawErrorFormat": "test_a_broken_file_is_an_error_and_never_other_weights[one byte]",
    "TakesAll": "test_other_files_are_refused",
    "LeavesOpen": "test_a_failed_opening_leaves_no_file_open",
}


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(WeightFormatKit, "weight_format_mutants:SoundFormat"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(WeightFormatKit, f"weight_format_mutants:{fault}")

    assert noticed_by in run_kit(kit, noticed_by.partition("[")[0]).of("failed")


def test_a_format_of_other_files_is_skipped_with_its_own_reason(kit_of):
    report = run_kit(kit_of(WeightFormatKit, "weight_format_mutants:Elsewhere"), "reading")

    (reason,) = set(report.texts.values())
    assert reason.endswith("there is no model.else")
    assert set(report.outcomes.values()) == {"skipped"}
