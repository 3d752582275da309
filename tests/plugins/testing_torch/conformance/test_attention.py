"""The kit of attention backends passes a sound one and notices faults, each by the test that is there for it."""

from itertools import combinations, product
from pathlib import Path

import pytest
import torch

from jackfield_testing.conformance.run import run_kit
from jackfield_testing_torch.conformance.attention import AttentionKit
from jackfield_testing_torch.conformance.attention_cases import (
    ASKED_AXES,
    AXES,
    AttentionCase,
)

pytestmark = pytest.mark.thorough

LARGE = "test_steps_may_be_larger_than_a_tile"
MUTANTS = {  # the fault: the test that is there to notice it
    "WindowOffByOne": "test_a_window_hides_exactly_what_is_behind_it[float32-5-decodes]",
    "ChunksAsWindows": "test_a_query_sees_the_chunk_that_it_is_in[float32-24-decodes]",
    "LooksBackAlone": "test_tokens_of_a_row_see_each_other_without_a_cache[float32-one-plain]",
    "OneRowForAll": ("test_tokens_of_a_row_see_each_other_without_a_cache[float32-alike-window]"),
    "OwnScale": "test_scores_are_multiplied_with_the_scale_of_the_layer[float32-3.0]",
    "SoftCapIgnored": "test_a_soft_cap_bends_the_scores[bfloat16-chunk]",
    "SoftCapBeforeScale": "test_a_soft_cap_bends_the_scores[float32-prompt]",
    "SinksIgnored": "test_sinks_take_their_share[float16-decode]",
    "ValuesBehindTheLatent": (
        "test_the_value_of_a_latent_cache_is_part_of_its_key[float32-mixed-small]"
    ),
    "InterleavedHeads": "test_query_heads_read_their_kv_head[float32-6x2]",
    "WholeBlocks": "test_what_lies_in_unwritten_slots_does_not_matter[float32-mixed-nan]",
    "CausalFromTheStart": "test_chunks_of_a_prompt_give_what_the_whole_gives[float32-16]",
    "CleansTheCache": "test_nothing_that_it_was_given_is_changed[float32-chunk]",
    "HalfPrecisionSums": "test_long_sums_do_not_drift[bfloat16]",
    "StalePlan": "test_a_later_step_forgets_the_one_before[float32]",
    "StaleWindow": "test_layers_of_a_group_may_differ_in_their_window[float32-some]",
    "DenseQueries": "test_queries_may_be_views_into_a_wider_tensor[float32-mixed]",
    "WideOutputs": "test_long_sums_do_not_drift[float16]",
    "HostLengths": "test_host_lengths_may_be_upper_bounds[float32]",
    "NeverPrepared": "test_it_can_be_closed_before_and_after_use[float32]",
    "BfloatIsPlain": "test_a_window_hides_exactly_what_is_behind_it[bfloat16-5-decodes]",
    "SinksInEachSplit": f"{LARGE}[float32-long-sinks]",
    "GroupsUpTo8": "test_heads_may_be_many_or_odd[float32-32x2]",
    "BlockIdsOf16Bits": "test_block_ids_may_be_large[float32]",
    "PeakNotSubtracted": "test_scores_may_be_large[bfloat16-sinks]",
    "ScaledTooLate": "test_products_may_be_large_before_the_scale[float16]",
    "PlanOfEqualLengths": "test_other_rows_of_the_same_lengths_are_other_rows[float32]",
    "HostLengthsOfWindows": (
        "test_host_lengths_may_be_upper_bounds_whatever_a_layer_adds[float32-window_5]"
    ),
}
EQUALITY = "test_attention_equals_plain_attention_in_float64"


@pytest.fixture
def kit_of(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(backend, **switches):
        line = f"jackfield_torch.attention_backends.mine=attention_mutants:{backend}"
        return type("Kit", (AttentionKit,), {"name": "mine", "plugins": (line,), **switches})

    return make


def test_a_sound_backend_passes_whatever_it_claims(kit_of):
    report = run_kit(kit_of("Sound"))

    assert report.of("failed") == (), report.texts
    assert {test.partition("[")[0] for test in report.of("skipped")} == {
        "test_a_device_graph_records_what_is_claimed"
    }


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(fault), noticed_by)

    assert noticed_by in report.of("failed"), dict(report.outcomes)


def test_a_window_that_one_dtype_lacks_is_noticed_where_a_card_has_conditions(kit_of):
    report = run_kit(kit_of("BfloatIsPlain"), f"{EQUALITY} and bfloat16 and window and chunk")

    assert len(report.of("failed")) > 0


def test_a_backend_that_cannot_be_made_passes_no_test_of_what_it_computes(kit_of):
    report = run_kit(kit_of("Explodes"), "capability or written or closed")

    assert set(report.outcomes.values()) == {"failed"}


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("backend", "level", "outcome"),
    [
        ("Recordable", "uniform", "passed"),
        ("Recordable", "any", "passed"),
        ("RecordsItsLengths", "uniform", "failed"),
        ("RecordsItsRows", "any", "failed"),
    ],
)
def test_a_graph_that_is_blind_to_the_next_step_is_noticed(kit_of, backend, level, outcome):
    kit = kit_of(backend, device=torch.accelerator.current_accelerator().type)
    test = "test_a_device_graph_records_what_is_claimed"

    assert run_kit(kit, test).outcomes[f"{test}[float32-{level}]"] == outcome


def test_causal_steps_may_run_from_buffers(kit_of):
    report = run_kit(kit_of("Recordable"), "decode or chunks or later or twice")

    assert report.of("failed") == (), report.texts


def pairs_of(case):
    return set(combinations([(axis, getattr(case, axis)) for axis in AXES], 2))


def test_every_pair_of_claimed_values_meets_in_a_case_of_each_dtype(kit_of):
    claims = kit_of("Sound").claimed()
    cases = claims.cases(2)

    for axis, other in [("rows", "heads"), ("head_size", "block_size"), ("sinks", "window")]:
        values = {(c.dtype, getattr(c, axis), getattr(c, other)) for c in cases}
        assert len(values) == 3 * len(AXES[axis]) * len(AXES[other])


@pytest.mark.parametrize("name", ["Particular", "cpu_paged"])
def test_what_a_card_serves_under_conditions_is_shown_and_nothing_that_it_refuses(kit_of, name):
    kit = kit_of(name) if name[0].isupper() else type("Kit", (AttentionKit,), {"name": name})
    claims = kit.claimed()
    cases = claims.cases(2)

    passed_over = {axis for axis in AXES if axis not in ASKED_AXES} | {"heads", "cache_dtype"}
    axes = {**AXES, **{axis: (getattr(AttentionCase(), axis),) for axis in passed_over}}
    served = set()
    for values in product(*axes.values()):
        case = AttentionCase(**dict(zip(axes, values, strict=True)))
        if not claims.refusal(case):
            served |= pairs_of(case)

    assert [str(case) for case in cases if claims.refusal(case)] == []
    assert served - set().union(*map(pairs_of, cases)) == set()


def test_a_case_without_causality_has_no_window(kit_of):
    cases = kit_of("Sound").claimed().cases(2)

    assert {case.window for case in cases if not case.causal} == {None}
    assert {case.chunk_size for case in cases if not case.causal} == {None}


def test_higher_strength_means_more_cases(kit_of):
    claims = kit_of("Sound").claimed()

    assert len(claims.cases(1)) < len(claims.cases(2)) < len(claims.cases(3))


def test_a_backend_that_claims_nothing_does_not_pass(kit_of):
    report = run_kit(kit_of("ClaimsNothing"), "unwritten or float64")

    assert report.of("passed") == ()
    assert "not today" in report.texts[report.of("failed")[0]]


def test_a_capability_that_is_not_declared_is_skipped_with_the_reason():
    kit = type("Kit", (AttentionKit,), {"name": "cpu_paged"})

    report = run_kit(kit, "sinks and not host")

    assert set(report.outcomes.values()) == {"skipped"}
    assert all("attention.sinks" in text for text in report.texts.values())


def test_a_case_says_in_its_name_what_is_special():
    case = AttentionCase(dtype="bfloat16", heads=(8, 1), window=5)

    assert str(case) == "mixed-bfloat16-heads=8x1-window=5"
    assert torch.tensor(case.scale) == torch.tensor(64**-0.5)
