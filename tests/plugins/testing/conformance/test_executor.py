"""The kit of executors notices planted faults; the executors of the core pass it beside their own tests."""

import pytest

from jackfield_testing.conformance.executor import ExecutorKit
from jackfield_testing.conformance.run import run_kit

MUTANTS = {  # the fault: the test that is there to notice it
    "Waiting": "test_submit_does_not_wait",
    "Mixed": "test_results_are_those_of_the_output_rank",
    "Vague": "test_a_step_that_fails_ends_all",
    "Haunted": "test_nothing_is_left_after_close",
    "Greedy": "test_the_report_holds_for_all_ranks",
    "LateToFirst": "test_late_inputs_arrive_whole[2-0]",
    "Overtaking": "test_results_of_three_in_flight_come_in_order",
    "Clinging": "test_closing_does_not_wait_for_what_hangs",
    "SparingOthers": "test_all_ranks_make_the_blocks_that_were_decided[2]",
    "OtherPlugins": "test_ranks_know_what_they_are_part_of[1]",
    "Credulous": "test_ranks_refuse_an_activation_plan_that_is_not_the_engines",
    "Losing": "test_an_error_that_cannot_be_carried_is_told",
    "Shortsighted": "test_another_rank_that_is_killed_ends_all",
}
pytestmark = [pytest.mark.core_model, pytest.mark.thorough]


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(ExecutorKit, f"executor_mutants:{fault}", answer_s=2.0)

    report = run_kit(kit, noticed_by)

    assert any(test.startswith(noticed_by) for test in report.of("failed")), report.texts
