"""The kit of platforms passes the reference platform and notices planted faults."""

import pytest

from jackfield.testing.conformance.platform import PlatformKit
from jackfield.testing.conformance.run import run_kit
from jackfield.testing.models import write_model

MUTANTS = {  # the fault: the test that is there to notice it
    "Crowded": "test_answers_do_not_depend_on_the_schedule[as it is",
    "Breathless": "test_answers_do_not_depend_on_the_schedule[in small pieces",
    "Backwards": "test_answers_do_not_depend_on_the_schedule[as it is",
    "Misplacing": "test_answers_do_not_depend_on_the_schedule[in small pieces",
    "Unwilling": "test_outputs_of_one_prompt_go_their_own_ways",
    "Clinging": "test_a_request_that_is_withdrawn_leaves_no_trace",
    "Forgetful": "test_every_token_of_a_prompt_counts",
    "Monotonous": "test_other_prompts_have_other_answers",
    "Seedless": "test_a_seed_repeats_its_answer_and_another_does_not",
    "Restless": "test_a_seed_repeats_its_answer_and_another_does_not",
    "Boastful": "test_log_probabilities_are_those_of_a_distribution",
    "Playful": "test_log_probabilities_are_those_of_a_distribution",
    "Shy": "test_log_probabilities_do_not_depend_on_the_batch",
    "Hoarding": "test_a_closed_engine_gives_all_back",
    "Haunted": "test_a_closed_engine_gives_all_back",
    "Jealous": "test_a_worker_that_fails_ends_the_engine",
    "Generous": "test_its_report_can_be_planned_with",
    "Misspelt": "test_its_defaults_are_settings",
    "Stale": "test_free_memory_is_looked_for_in_every_process",
    "Moody": "test_its_choices_are_pure",
}
pytestmark = pytest.mark.core_model


class TestReference(PlatformKit):
    """The kit itself, on the platform that computes no model."""

    name = "reference"

    def write_model(self, folder):
        write_model(folder, max_length=128, windows=(None, 8))


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(PlatformKit, f"platform_mutants:{fault}", write_model=TestReference.write_model)

    report = run_kit(kit, noticed_by.split("[")[0])

    assert any(test.startswith(noticed_by) for test in report.of("failed")), report.outcomes
