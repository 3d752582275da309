"""The kit of hooks passes a sound observer and notices planted faults."""

import pytest

from jackfield_testing.conformance.hooks import HooksKit
from jackfield_testing.conformance.run import run_kit

MUTANTS = {  # the fault: the test that is there to notice it
    "Asking": "test_its_hooks_are_those_that_exist",
    "Certain": "test_it_survives_every_end_of_a_request",
    "Censor": "test_it_changes_nothing_that_it_is_told",
    "Puppeteer": "test_answers_do_not_depend_on_it",
    "Slow": "test_it_holds_up_no_step",
    "Haunted": "test_it_leaves_no_thread",
    "Silencing": "test_it_leaves_logging_alone",
}
pytestmark = [pytest.mark.core_model, pytest.mark.thorough]


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(HooksKit, "hooks_mutants:Sound"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(HooksKit, f"hooks_mutants:{fault}"), noticed_by)

    assert any(test.startswith(noticed_by) for test in report.of("failed")), report.outcomes
