from pathlib import Path

import pytest

from jackfield_testing.conformance.run import run_kit
from jackfield_testing.conformance.scheduling_policy import JOBS, SchedulingPolicyKit, answer

MUTANTS = {  # the fault: the test that is there to notice it
    "LastComeFirstServed": "test_later_requests_of_the_same_sort_do_not_starve_one",
    "Restless": "test_a_request_that_did_not_change_keeps_its_key[admission_key]",
    "NotANumber": "test_keys_are_tuples_of_finite_numbers[admission_key]",
    "Unequal": "test_keys_can_be_ordered[admission_key]",
    "WrappingSixteenBits": "test_later_requests_of_the_same_sort_do_not_starve_one",
    "Clock": "test_keys_do_not_move_with_the_clock[admission_key]",
    "EvictsOldest": "test_the_oldest_of_a_sort_does_not_make_room_for_all_that_come",
}
pytestmark = [pytest.mark.core_model, pytest.mark.thorough]


class TestFcfs(SchedulingPolicyKit):
    name = "fcfs"


class TestFair(SchedulingPolicyKit):
    name = "fair"


class TestPriority(SchedulingPolicyKit):
    name = "priority"


@pytest.fixture
def kit_of(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(policy):
        line = f"schedulers.mine=policy_mutants:{policy}"
        return type("Kit", (SchedulingPolicyKit,), {"name": "mine", "plugins": (line,)})

    return make


@pytest.mark.parametrize("policy", ["Sound", "Shortest"])
def test_a_sound_one_file_policy_passes(kit_of, policy):
    report = run_kit(kit_of(policy))
    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    assert noticed_by in run_kit(kit_of(fault), noticed_by.partition("[")[0]).of("failed")


@pytest.mark.parametrize(
    ("policy", "outcome"), [("LastComeFirstServed", "xfailed"), ("Sound", "failed")]
)
def test_an_expected_failure_must_fail_and_is_none(kit_of, policy, outcome):
    test = "test_later_requests_of_the_same_sort_do_not_starve_one"
    kit = type("Kit", (kit_of(policy),), {"expected_failures": {test: "by design"}})
    assert dict(run_kit(kit, "starve").outcomes) == {test: outcome}


def test_the_pool_of_the_kit_makes_requests_give_way(kit_of, tmp_path):
    with kit_of("Sound")().open(tmp_path) as llm:
        answer(llm, JOBS)
        assert llm.engine.stats.scheduler.num_preemptions > 0


def test_an_expected_failure_that_is_no_test_is_refused():
    with pytest.raises(TypeError, match="test_nothing"):
        type("Kit", (SchedulingPolicyKit,), {"expected_failures": {"test_nothing": "why"}})


def test_a_selection_of_nothing_is_no_report(kit_of):
    with pytest.raises(RuntimeError, match="no test"):
        run_kit(kit_of("Sound"), "no_such_test")
