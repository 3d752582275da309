"""The kit of model sources passes a sound one and notices planted faults."""

import pytest

from jackfield.testing.conformance.model_source import ModelSourceKit, SampleModel
from jackfield.testing.conformance.run import run_kit

MUTANTS = {  # the fault: the test that is there to notice it
    "AlwaysAsks": "test_what_was_fetched_is_there_without_a_network",
    "TakesAll": "test_another_form_is_left_to_other_sources",
    "Fragile": "test_check_answers_whatever_a_user_writes[zero]",
    "Eager": "test_check_fetches_nothing",
    "Shortening": "test_a_reference_leads_to_its_files",
    "Renaming": "test_a_reference_leads_to_its_files",
    "Repeating": "test_a_second_time_fetches_nothing_again",
    "Wandering": "test_a_second_time_fetches_nothing_again",
    "Halfway": "test_a_broken_fetch_is_an_error_each_time",
    "Littering": "test_a_broken_fetch_leaves_nothing_behind",
    "Noting": "test_a_model_that_is_not_there_leaves_nothing_behind",
    "RawError": "test_a_model_that_is_not_there_is_an_error_that_names_it",
    "Nameless": "test_a_model_that_is_not_there_is_an_error_that_names_it",
    "Racing": "test_two_may_ask_at_once",
}
FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


class ShelfKit(ModelSourceKit):
    @pytest.fixture
    def sample(self, tmp_path):
        for name in ("tiny", "broken"):
            folder = tmp_path / "remote" / name
            folder.mkdir(parents=True)
            for file, data in FILES.items():
                (folder / file).write_bytes(data)
        (tmp_path / "remote" / "broken" / "cut").touch()
        return SampleModel(
            text="shelf:tiny", files=FILES, missing="shelf:nothing", broken="shelf:broken"
        )


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(ShelfKit, "model_source_mutants:Sound"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(ShelfKit, f"model_source_mutants:{fault}")

    assert noticed_by in run_kit(kit, noticed_by.partition("[")[0]).of("failed")


def test_without_a_sample_of_its_own_a_source_is_skipped_with_its_own_reason(kit_of):
    report = run_kit(kit_of(ModelSourceKit, "model_source_mutants:Sound"), "leads_to_its_files")

    (reason,) = report.texts.values()
    assert reason.endswith("'.../sample' does not begin with shelf:")
