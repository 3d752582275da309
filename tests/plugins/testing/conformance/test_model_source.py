"""The kit of model sources passes a sound one and notices planted faults."""

import pytest

from jackfield_testing.conformance.model_source import ModelSourceKit, SampleModel
from jackfield_testing.conformance.run import run_kit

pytestmark = pytest.mark.thorough

MUTANTS = {  # the fault: the test that is there to notice it
    "TakesAll": "test_another_form_is_left_to_other_sources",
    "Fragile": "test_check_answers_whatever_a_user_writes[zero]",
    "Eager": "test_check_fetches_nothing",
    "Repeating": "test_a_second_time_fetches_nothing_again",
    "Halfway": "test_a_broken_fetch_is_an_error_each_time",
    "Littering": "test_a_broken_fetch_leaves_nothing_behind",
    "RawError": "test_a_model_that_is_not_there_is_an_error_that_names_it",
    "FirstRevision": "test_a_revision_is_a_model_of_its_own",
    "ThreadsOnly": "test_processes_may_ask_at_once",
    "KilledHalfway": "test_a_fetch_that_was_killed_is_never_taken_for_the_model",
    "Interrupted": "test_a_fetch_that_is_interrupted_leaves_nothing_behind",
    "LeavesTemporary": "test_nothing_is_left_elsewhere",
    "SetsProxy": "test_the_process_is_left_as_it_was",
}
FILES = {
    "1_Pooling/config.json": b"[]",
    "config.json": b"{}",
    "model.safetensors": b"weights",
}
OF_V2 = {**FILES, "config.json": b'{"version": 2}'}


class ShelfKit(ModelSourceKit):
    @pytest.fixture
    def sample(self, tmp_path):
        remote = tmp_path / "remote"
        for name in ("tiny", "broken", "slow"):
            write(remote / name, FILES)
        write(remote / "tiny@v2", OF_V2)
        for mark in ("broken/cut", "slow/slow"):
            (remote / mark).touch()
        return SampleModel(
            text="shelf:tiny",
            files=FILES,
            missing="shelf:nothing",
            broken="shelf:broken",
            slow="shelf:slow",
            revisions={"v2": OF_V2},
        )


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(ShelfKit, "model_source_mutants:Sound"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(ShelfKit, f"model_source_mutants:{fault}")

    assert noticed_by in run_kit(kit, noticed_by.partition("[")[0]).of("failed")


@pytest.mark.parametrize("test", ["killed", "interrupted"])
def test_a_sample_that_comes_at_once_shows_nothing_of_what_stops(kit_of, test):
    kit = kit_of(QuickKit, "model_source_mutants:KilledHalfway")

    assert set(run_kit(kit, test).outcomes.values()) == {"not_shown"}


class QuickKit(ShelfKit):
    @pytest.fixture
    def sample(self, tmp_path):
        write(tmp_path / "remote" / "tiny", FILES)
        return SampleModel(text="shelf:tiny", files=FILES, missing="shelf:nothing")


def test_without_a_sample_of_its_own_a_source_is_skipped_with_its_own_reason(kit_of):
    report = run_kit(kit_of(ModelSourceKit, "model_source_mutants:Sound"), "leads_to_its_files")

    (reason,) = report.texts.values()
    assert reason.endswith("'.../sample' does not begin with shelf:")
