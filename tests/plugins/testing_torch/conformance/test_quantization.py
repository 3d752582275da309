"""The kit of quantization schemes passes a sound one and notices faults, each by the test that is there for it."""

from pathlib import Path

import pytest
import torch

from jackfield_testing.conformance.run import run_kit
from jackfield_testing_torch.conformance.quantization import QuantizationKit

pytestmark = pytest.mark.thorough

PRODUCT = "test_a_linear_equals_the_product_in_float64"
SIDE_BY_SIDE = "test_linears_of_one_shape_have_weights_and_results_of_their_own"
UNLIKE = "test_weights_of_parts_and_outputs_may_differ_in_size"
MUTANTS = {  # the fault: the test that is there to notice it
    "FirstScaleOnly": "test_each_packed_weight_comes_back[512x512]",
    "TransposedShare": "test_each_rank_holds_its_share[no bias-column-rank 1 of 2]",
    "ScalesOfRankZero": "test_each_rank_holds_its_share[no bias-row-rank 3 of 4]",
    "BiasOnEveryRank": "test_each_rank_holds_its_share[bias-row-rank 1 of 2]",
    "CopiesIgnored": "test_ranks_that_outnumber_heads_hold_copies[rank 1 of 4-2 copies]",
    "PartsSwapped": "test_fused_parts_give_what_each_gives_alone[gate and up-0-1]",
    "FusesMixedBiases": "test_fused_parts_give_what_each_gives_alone[some with bias-0-1]",
    "RawRefusal": "test_odd_shares_are_right_or_refused[row-rank 0 of 4]",
    "KeepsWhole": "test_a_share_does_not_keep_the_whole_alive[row]",
    "DenseInputs": "test_inputs_may_be_views_into_a_wider_tensor",
    "ScalesItsInput": "test_inputs_are_left_as_they_are",
    "ReadsAnything": "test_checkpoints_of_another_method_are_refused",
    "LooksAtNoHeader": "test_headers_of_a_linear_of_another_size_are_refused[twice]",
    "MissesScales": "test_a_tensor_that_is_missing_is_refused_by_its_header",
    "RoundsItsInput": f"{PRODUCT}[bfloat16-",
    "SharedOutput": SIDE_BY_SIDE,
    "OwnOutput": SIDE_BY_SIDE,
    "RowsNineToSixteen": "test_a_step_may_have_any_number_of_rows[no bias]",
    "HalfPrecisionSums": "test_sums_of_one_sign_do_not_drift[bfloat16]",
    "ScalesOfFloat16": f"{UNLIKE}[gate and up-rank 0 of 1]",
    "KeepsACopy": "test_a_share_takes_its_share_of_memory[row]",
}
ROUNDED = {
    "ZeroRows": "test_rows_of_a_step_may_differ_in_size",
    "Saturates": "test_rows_of_a_step_may_differ_in_size",
    "OneInputScale": "test_rows_of_a_step_may_differ_in_size",
    "FirstScaleOfFused": f"{UNLIKE}[gate and up-rank 1 of 2]",
}


class NibblesKit(QuantizationKit):
    """What the author of the scheme would write."""

    name = method = "nibbles"

    def quantise(self, weight_OI):
        import faulty_linear  # beside this file

        return faulty_linear.pack(weight_OI)

    def dequantise(self, tensors):
        import faulty_linear

        return faulty_linear.unpack(tensors)


class RoundedKit(NibblesKit):
    """Of a scheme that rounds inputs too; `axis` has one scale, (0, 1) is all of a weight."""

    input_unit = 2.0**-3  # of float8_e4m3
    axis = 1
    format = "float8"

    def quantise(self, weight_OI):
        import faulty_rounded

        return faulty_rounded.pack(weight_OI, self.axis, self.format)

    def dequantise(self, tensors):
        import faulty_rounded

        return faulty_rounded.unpack(tensors)


@pytest.fixture
def kit_of(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(scheme, kit=NibblesKit, **switches):
        line = f"jackfield_torch.quantization.nibbles=quantization_mutants:{scheme}"
        return type("Kit", (kit,), {"plugins": (line,), **switches})

    return make


def test_a_sound_scheme_passes_and_refuses_odd_shapes(kit_of):
    report = run_kit(kit_of("Sound"))

    assert report.of("failed") == (), report.texts
    skipped = {test.partition("[")[0] for test in report.of("skipped")}
    assert skipped == {
        "test_odd_shapes_are_right_or_refused",
        "test_odd_shares_are_right_or_refused",
        "test_fused_parts_give_what_each_gives_alone",
        UNLIKE,
    }


@pytest.mark.parametrize(
    "switches",
    [
        {},
        pytest.param({"axis": (0, 1)}, marks=pytest.mark.slow),
        pytest.param({"format": "int8", "input_unit": 2.0**-5}, marks=pytest.mark.slow),
    ],
    ids=["float8", "one scale a part", "int8"],
)
def test_a_sound_scheme_that_rounds_inputs_to_eight_bits_passes(kit_of, switches):
    report = run_kit(kit_of("Rounded", RoundedKit, **switches))

    assert report.of("failed") == (), report.texts
    assert report.of("skipped") == ()


@pytest.mark.parametrize(("size", "num_failed"), [(512, 8), (1024, 0)])
def test_a_scheme_of_large_groups_names_a_size_that_four_ranks_can_share(kit_of, size, num_failed):
    report = run_kit(kit_of("SuperBlocks", size=size), "holds_its_share")

    assert len(report.of("failed")) == num_failed, report.texts


def test_the_settings_of_a_checkpoint_reach_the_scheme(kit_of):
    fused = "test_fused_parts_give_what_each_gives_alone"

    report = run_kit(kit_of("ReadsItsSettings", settings={"bits": 4}), fused)

    assert report.of("failed") == (), report.texts
    assert len(report.of("passed")) > 0


def test_a_scheme_that_ignores_the_settings_of_its_checkpoints_fails(kit_of):
    report = run_kit(kit_of("Sound", settings={"bits": 8}), "test_each_packed_weight_comes_back")

    assert report.of("passed") == ()
    assert "does not serve quantization.settings" in next(iter(report.texts.values()))


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(fault), noticed_by.partition("[")[0])

    failed = report.of("failed")
    assert any(test.startswith(noticed_by) for test in failed), dict(report.outcomes)


@pytest.mark.parametrize(("fault", "noticed_by"), ROUNDED.items(), ids=ROUNDED)
def test_a_fault_in_rounded_inputs_or_their_scales_is_noticed(kit_of, fault, noticed_by):
    kit = kit_of(fault, RoundedKit, axis=(0, 1))

    report = run_kit(kit, noticed_by.partition("[")[0])

    assert noticed_by in report.of("failed"), dict(report.outcomes)


def test_inputs_that_have_a_scale_of_the_checkpoint_have_a_switch(kit_of):
    kit = kit_of("Saturates", RoundedKit, has_input_scale=True)

    assert run_kit(kit, "size or packed").of("failed") == ()


def test_inputs_that_are_rounded_too_have_a_switch(kit_of):
    report = run_kit(kit_of("RoundsItsInput", input_unit=2.0**-3), PRODUCT)

    assert report.of("failed") == ()


def test_a_checkpoint_that_lost_its_weights_is_noticed(kit_of):
    class Lossy(NibblesKit):
        plugins = kit_of("Sound").plugins

        def quantise(self, weight_OI):
            return super().quantise(torch.zeros_like(weight_OI))

    test = "test_stored_weights_are_close_to_the_dense_ones"

    assert run_kit(Lossy, test).of("failed") == (test,)


def test_a_scheme_that_claims_nothing_does_not_pass(kit_of):
    report = run_kit(kit_of("ClaimsNothing"), "packed or odd or rank")

    assert report.of("passed") == ()
    assert "not today" in report.texts[report.of("failed")[0]]
