"""The kit of platforms passes the reference platform and notices planted faults."""

import pytest

from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing.conformance.platform_runs import MAX_BLOCKS
from jackfield_testing.conformance.run import run_kit
from jackfield_testing.models import write_model

MUTANTS = {  # the fault: the test that is there to notice it
    "Crowded": "test_answers_do_not_depend_on_the_schedule[as it is",
    "Backwards": "test_answers_do_not_depend_on_the_schedule[as it is",
    "Misplacing": "test_answers_do_not_depend_on_the_schedule[in small pieces",
    "Unwilling": "test_outputs_of_one_prompt_go_their_own_ways",
    "Clinging": "test_a_request_that_is_withdrawn_leaves_no_trace",
    "Forgetful": "test_every_token_of_a_prompt_counts",
    "Seedless": "test_a_seed_repeats_its_answer_and_another_does_not",
    "Shy": "test_log_probabilities_do_not_depend_on_the_batch",
    "Hoarding": "test_a_closed_engine_gives_all_back",
    "Jealous": "test_a_worker_that_fails_ends_the_engine",
    "Generous": "test_its_report_can_be_planned_with",
    "WithoutTopP": "test_narrowed_to_one_token_drawing_is_greedy[top_p]",
    "WithoutRepetition": "test_a_repetition_penalty_looks_at_the_prompt_too",
    "Reversed": "test_log_probabilities_of_a_prompt_are_those_of_its_beginnings",
    "Ranked": "test_log_probabilities_belong_to_their_tokens",
    "Unmasked": "test_late_masks_are_obeyed",
    "Quarrelling": "test_two_ranks_give_the_answers_of_one",
    "Overtaking": "test_results_resolve_in_order[3]",
    "Remembering": "test_requests_leave_no_memory",
}
pytestmark = [pytest.mark.core_model, pytest.mark.thorough]


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
