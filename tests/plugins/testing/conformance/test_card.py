"""The tests that all cards share notice faults in a card."""

import sys

import pytest

from jackfield_testing.conformance.run import run_kit
from jackfield_testing.conformance.scheduling_policy import SchedulingPolicyKit

pytestmark = pytest.mark.thorough

MUTANTS = {  # the fault: the test that is there to notice it
    "OpaqueFacts": "test_facts_are_plain_and_can_be_saved",
    "RestlessFacts": "test_a_second_probe_finds_the_same_facts",
    "Moody": "test_check_is_pure",
    "Importing": "test_check_needs_facts_alone",
    "Misspelling": "test_features_are_those_that_may_be_asked",
}


@pytest.fixture(autouse=True)
def modules():
    """What cards pretend to import is gone after the test."""
    before = {*sys.modules}
    yield
    for name in {"transformers", "pynvml", "mlx"} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    assert run_kit(kit_of(SchedulingPolicyKit, f"card_mutants:{fault}"), noticed_by).of(
        "failed"
    ) == (noticed_by,)


def test_an_import_of_a_tensor_library_is_noticed(kit_of):
    test = "test_importing_it_loads_no_tensor_library"
    report = run_kit(kit_of(SchedulingPolicyKit, "heavy_card:Heavy"), test)

    assert "imports transformers, pynvml" in report.texts[test]


@pytest.mark.parametrize("test", ["starts_no_thread", "takes_no_time"])
def test_what_an_import_does_besides_is_noticed(kit_of, monkeypatch, test):
    monkeypatch.setattr("jackfield_testing.conformance.kit._CORE_TIMES", 2)

    report = run_kit(kit_of(SchedulingPolicyKit, "slow_card:Slow", import_s=0.5), test)

    assert report.of("failed") == (f"test_importing_it_{test}",), report.texts


def test_a_card_that_does_not_work_here_is_skipped_with_its_own_reason(kit_of):
    report = run_kit(
        kit_of(SchedulingPolicyKit, "card_mutants:Elsewhere"), "facts or probe or check"
    )

    assert set(report.outcomes.values()) == {"skipped"}
    assert set(report.texts.values()) == {"does not work here: OSError: no such device"}
