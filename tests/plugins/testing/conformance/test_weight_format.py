"""The kit of weight formats passes a sound one and notices planted faults."""

import pytest

from jackfield_testing.conformance.run import run_kit
from jackfield_testing.conformance.samples import safetensors_forms
from jackfield_testing.conformance.weight_format import WeightFormatKit

pytestmark = pytest.mark.thorough

MUTANTS = {  # the fault: the test that is there to notice it
    "SharedBufferFormat": "test_reads_do_not_disturb_each_other",
    "OwnCacheFormat": "test_writing_into_a_buffer_does_not_change_the_checkpoint",
    "TransposedFormat": "test_tensors_are_those_that_were_stored",
    "ByteSwappedFormat": "test_reading_yields_what_was_stored",
    "PaddingFormat": "test_a_broken_file_is_an_error_and_never_other_weights[cut in half]",
    "LeavesOpen": "test_a_failed_opening_leaves_no_file_open",
    "OneConfigFormat": "test_a_config_is_not_that_of_another_opening",
    "FlatteningFormat": "test_other_forms_are_read_alike",
    "OpensConfigs": "test_a_config_without_weights_is_no_checkpoint",
    "HeavyCheck": "test_check_reads_next_to_nothing",
}


class NumbersKit(WeightFormatKit):
    """Its sample holds a number and a tensor without elements."""

    @pytest.fixture
    def sample(self, tmp_path):
        return safetensors_forms(tmp_path)["odd shapes"]

    @pytest.fixture
    def forms(self):
        return {}


@pytest.mark.parametrize("format", ["SoundFormat", "BaseNameFormat"])
def test_a_sound_one_passes(kit_of, format):
    report = run_kit(kit_of(WeightFormatKit, f"weight_format_mutants:{format}"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(WeightFormatKit, f"weight_format_mutants:{fault}")

    assert noticed_by in run_kit(kit, noticed_by.partition("[")[0]).of("failed")


def test_a_sample_of_numbers_and_empty_tensors_passes(kit_of):
    report = run_kit(kit_of(NumbersKit, "weight_format_mutants:SoundFormat"))

    assert report.texts == {"test_other_forms_are_read_alike": "its checkpoints have one form only"}


def test_a_form_that_is_refused_is_skipped_with_the_formats_own_reason(kit_of):
    report = run_kit(kit_of(WeightFormatKit, "weight_format_mutants:IndexOnly"))

    assert report.of("failed") == ()
    assert "one file: there is no index" in report.texts["test_other_forms_are_read_alike"]


def test_a_format_of_other_files_is_skipped_with_its_own_reason(kit_of):
    report = run_kit(kit_of(WeightFormatKit, "weight_format_mutants:Elsewhere"), "reading")

    (reason,) = set(report.texts.values())
    assert reason.endswith("there is no model.else")
    assert set(report.outcomes.values()) == {"not_shown"}
