"""The kit of attention backends passes a sound one and notices faults, each by the test that is there for it."""

from pathlib import Path

import pytest
import torch

from jackfield.testing.conformance.run import run_kit
from jackfield_torch.paged_cache import GroupCache, LayerStore, Places
from jackfield_torch.testing.conformance.attention import AttentionKit
from jackfield_torch.testing.conformance.attention_cases import AXES, AttentionCase

MUTANTS = {  # the fault: the test that is there to notice it
    "WindowOffByOne": "test_a_window_hides_exactly_what_is_behind_it[5-decodes]",
    "OwnScale": "test_scores_are_multiplied_with_the_scale_of_the_layer[3.0]",
    "SoftCapIgnored": "test_a_soft_cap_bends_the_scores[chunk]",
    "SoftCapBeforeScale": "test_a_soft_cap_bends_the_scores[prompt]",
    "SinksIgnored": "test_sinks_take_their_share[decode]",
    "AlwaysCausal": "test_without_causality_a_query_sees_all_tokens[prompts]",
    "InterleavedHeads": "test_query_heads_read_their_kv_head[6x2]",
    "WholeBlocks": "test_what_lies_in_unwritten_slots_does_not_matter[mixed-nan]",
    "CausalFromTheStart": "test_chunks_of_a_prompt_give_what_the_whole_gives[16]",
    "BlocksInARow": "test_rows_may_share_blocks[mixed]",
    "CleansTheCache": "test_nothing_that_it_was_given_is_changed[chunk]",
    "HalfPrecisionSums": "test_long_sums_do_not_drift[bfloat16]",
    "StalePlan": "test_a_later_step_forgets_the_one_before",
    "StaleScale": "test_layers_of_a_step_share_one_preparation",
    "StaleWindow": "test_layers_of_a_group_may_differ_in_their_window[some]",
    "LongestFirst": "test_rows_may_come_in_any_order[decodes]",
    "DenseQueries": "test_queries_may_be_views_into_a_wider_tensor[mixed]",
    "WideOutputs": "test_long_sums_do_not_drift[float16]",
    "HostLengths": "test_host_lengths_may_be_upper_bounds",
    "OneOrderOnly": "test_every_declared_layout_can_be_made",
    "OrderOfNobody": "test_every_declared_layout_can_be_made",
    "Dither": "test_the_same_step_twice_gives_the_same_bytes[decodes]",
    "NeverPrepared": "test_it_can_be_closed_before_and_after_use",
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


@pytest.mark.parametrize("moved", ["slot", "keys and values"])
def test_a_writer_that_misses_its_slot_is_noticed(kit_of, monkeypatch, moved):
    places = GroupCache.places
    faults = {
        "slot": lambda cache, slots: places(cache, slots ^ 1),
        "keys and values": lambda cache, slots: Places(
            places(cache, slots).values, places(cache, slots).keys
        ),
    }
    monkeypatch.setattr(GroupCache, "places", faults[moved])
    test = "test_written_values_land_in_their_slots_and_nowhere_else"

    report = run_kit(kit_of("Sound"), test)

    assert f"{test}[16]" in report.of("failed")


def test_a_writer_that_touches_other_slots_is_noticed(kit_of, monkeypatch):
    write = LayerStore.write

    def write_more(store, keys, values, places):
        store.views.key_BSHD[-1, -1] = torch.rand(())
        write(store, keys, values, places)

    monkeypatch.setattr(LayerStore, "write", write_more)
    test = "test_written_values_land_in_their_slots_and_nowhere_else"

    assert f"{test}[16]" in run_kit(kit_of("Sound"), test).of("failed")


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("backend", "outcome"), [("Recordable", "passed"), ("RecordsItsLengths", "failed")]
)
def test_a_graph_that_is_blind_to_the_next_step_is_noticed(kit_of, backend, outcome):
    kit = kit_of(backend, device=torch.accelerator.current_accelerator().type)
    test = "test_a_device_graph_records_what_is_claimed"

    assert run_kit(kit, test).outcomes[f"{test}[uniform]"] == outcome


def test_rows_of_one_query_may_run_from_buffers(kit_of):
    report = run_kit(kit_of("Recordable"), "decode or chunks or later or twice")

    assert report.of("failed") == (), report.texts


def test_every_pair_of_claimed_values_meets_in_a_case(kit_of):
    cases = kit_of("Sound").claimed().cases(2)

    for axis, other in [("rows", "heads"), ("head_size", "block_size"), ("sinks", "window")]:
        pairs = {(getattr(case, axis), getattr(case, other)) for case in cases}
        assert len(pairs) == len(AXES[axis]) * len(AXES[other])


def test_a_case_without_causality_has_no_window(kit_of):
    cases = kit_of("Sound").claimed().cases(2)

    assert {case.window for case in cases if not case.causal} == {None}


def test_higher_strength_means_more_cases(kit_of):
    claims = kit_of("Sound").claimed()

    assert len(claims.cases(1)) < len(claims.cases(2)) < len(claims.cases(3))


def test_a_backend_that_claims_nothing_does_not_pass(kit_of):
    report = run_kit(kit_of("ClaimsNothing"), "unwritten or float64")

    assert report.of("passed") == ()
    assert "not today" in report.texts[report.of("failed")[0]]


def test_a_capability_that_is_not_declared_is_skipped_with_the_reason():
    kit = type("Kit", (AttentionKit,), {"name": "torch_sdpa"})

    report = run_kit(kit, "sinks")

    assert set(report.outcomes.values()) == {"skipped"}
    assert all("attention.sinks" in text for text in report.texts.values())


def test_a_case_says_in_its_name_what_is_special():
    case = AttentionCase(dtype="bfloat16", heads=(8, 1), window=5)

    assert str(case) == "mixed-bfloat16-heads=8x1-window=5"
    assert torch.tensor(case.scale) == torch.tensor(64**-0.5)
