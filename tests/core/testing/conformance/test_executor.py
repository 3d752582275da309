"""The kit of executors notices planted faults; the executors of the core pass it beside their own tests."""

import pytest

from jackfield.testing.conformance.executor import ExecutorKit
from jackfield.testing.conformance.run import run_kit

MUTANTS = {  # the fault: the test that is there to notice it
    "Waiting": "test_submit_does_not_wait",
    "Narrow": "test_as_many_steps_as_it_says_wait_for_late_inputs",
    "Mixed": "test_results_are_those_of_the_output_rank",
    "Late": "test_as_many_steps_as_it_says_wait_for_late_inputs",
    "Vague": "test_a_step_that_fails_ends_all",
    "Hopeful": "test_a_worker_that_cannot_start_says_why",
    "Once": "test_closing_twice_is_closing",
    "Haunted": "test_nothing_is_left_after_close",
    "Greedy": "test_the_report_holds_for_all_ranks",
    "Alone": "test_the_report_holds_for_all_ranks",
}
pytestmark = pytest.mark.core_model


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(ExecutorKit, f"executor_mutants:{fault}"), noticed_by)

    assert any(test.startswith(noticed_by) for test in report.of("failed")), report.outcomes
