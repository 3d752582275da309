"""The kit of platforms passes the reference platform and notices planted faults."""

import pytest

from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing.conformance.platform_runs import MAX_BLOCKS
from jackfield_testing.conformance.run import run_kit
from jackfield_testing.models import write_model

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
    "OldMemory": "test_free_memory_is_looked_for_in_every_process",
    "Moody": "test_its_choices_are_pure",
    "WithoutTopK": "test_narrowed_to_one_token_drawing_is_greedy[top_k]",
    "WithoutTopP": "test_narrowed_to_one_token_drawing_is_greedy[top_p]",
    "WithoutMinP": "test_narrowed_to_one_token_drawing_is_greedy[min_p]",
    "WithoutPresence": "test_a_large_penalty_turns_to_the_next_best[presence",
    "WithoutFrequency": "test_a_large_penalty_turns_to_the_next_best[frequency",
    "WithoutRepetition": "test_a_repetition_penalty_looks_at_the_prompt_too",
    "WithoutBias": "test_a_large_bias_decides",
    "WithoutMinTokens": "test_min_tokens_hold_back_the_end",
    "Reversed": "test_log_probabilities_of_a_prompt_are_those_of_its_beginnings",
    "Mislabelled": "test_the_best_token_of_log_probabilities_is_the_greedy_one",
    "Ranked": "test_log_probabilities_belong_to_their_tokens",
    "Unmasked": "test_late_masks_are_obeyed",
    "Broad": "test_many_rows_are_answered_as_each_alone",
    "Long": "test_the_first_token_of_a_long_prompt_counts",
    "Sleepy": "test_an_idle_engine_goes_on",
    "Solitary": "test_two_engines_at_once",
    "Quarrelling": "test_two_ranks_give_the_answers_of_one",
    "Overtaking": "test_results_resolve_in_order[3]",
    "Stumbling": "test_a_worker_that_cannot_start_can_be_closed[load]",
    "Remembering": "test_requests_leave_no_memory",
    "Pooling": "test_engines_leave_no_memory",
    "Grasping": "test_an_engine_takes_no_more_than_its_blocks_need",
}
pytestmark = pytest.mark.core_model


class TestReference(PlatformKit):
    """The kit itself, on the platform that computes no model."""

    name = "reference"

    def write_model(self, folder):
        write_model(folder, max_length=MAX_BLOCKS * self.block_size, windows=(None, 8))


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(PlatformKit, f"platform_mutants:{fault}", write_model=TestReference.write_model)

    report = run_kit(kit, noticed_by.split("[")[0])

    assert any(test.startswith(noticed_by) for test in report.of("failed")), report.outcomes


@pytest.mark.parametrize("size", [16, 128])
@pytest.mark.parametrize(
    ("fault", "schedule"),
    [("Stale", "starting"), ("Backwards", "as_it"), (None, "starting or as_it")],
)
def test_blocks_of_any_size_are_short_and_shared(kit_of, fault, schedule, size):
    target = f"platform_mutants:{fault or 'FaultyPlatform'}"
    changes = {"settings": {"cache.block_size": size}, "write_model": TestReference.write_model}
    if fault is None:
        target = "jackfield_testing.platform:ReferencePlatform"

    report = run_kit(kit_of(PlatformKit, target, **changes), schedule.replace("as_it", "schedule"))

    assert bool(report.of("failed")) == bool(fault), report.texts
    assert report.of("not_shown") == ()


@pytest.mark.parametrize(
    ("card", "reason"),
    [("Elsewhere", "does not work here: OSError: no such"), ("Refusing", "computes in bfloat16")],
)
def test_a_sound_one_that_is_not_for_here_is_skipped_with_its_reason(kit_of, card, reason):
    report = run_kit(kit_of(PlatformKit, f"platform_mutants:{card}"), "schedule or closing or late")

    assert set(report.outcomes.values()) == {"skipped"}
    assert all(reason in text for text in report.texts.values())


def test_a_sound_one_whose_threads_take_a_moment_passes(kit_of):
    kit = kit_of(PlatformKit, "platform_mutants:Lingering", write_model=TestReference.write_model)

    report = run_kit(kit, "gives_all_back or fails_ends")

    assert set(report.outcomes.values()) == {"passed"}, report.texts


def test_what_cannot_be_reached_in_another_process_is_not_shown(kit_of):
    settings = {"select.executor": "multiprocess"}
    kit = kit_of(
        PlatformKit,
        "jackfield_testing.platform:ReferencePlatform",
        settings=settings,
        write_model=TestReference.write_model,
    )

    report = run_kit(kit, "resolve_in_order")

    assert set(report.outcomes.values()) == {"not_shown"}, report.texts


def test_an_answer_that_differs_is_told_with_its_place(kit_of):
    kit = kit_of(PlatformKit, "platform_mutants:Stale", write_model=TestReference.write_model)

    report = run_kit(kit, "starting and greedy")

    (text,) = report.texts.values()
    assert "is answered otherwise from output token" in text
    assert "'cache.num_blocks': 25" in text
