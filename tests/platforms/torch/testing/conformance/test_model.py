"""The kit of models passes a sound family and notices faults, each by the test that is there for it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jackfield.testing.conformance.run import run_kit
from jackfield_torch.testing.conformance.known_model import KnownModel
from jackfield_torch.testing.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model
LOGITS = "test_logits_equal_those_of_the_reference"
MUTANTS = {  # the fault: the test that is there to notice it
    "wrong_theta": LOGITS,
    "wrong_epsilon": LOGITS,
    "no_embedding_scale": LOGITS,
    "window_of_one_more": LOGITS,
    "windows_in_the_other_layers": LOGITS,
    "no_soft_cap": LOGITS,
    "plain_scale": LOGITS,
    "other_gelu": LOGITS,
    "gate_and_up_swapped": LOGITS,
    "key_read_as_value": "test_every_tensor_is_used",
    "post_norm_ignored": "test_every_tensor_is_used",
    "first_layer_only": "test_every_tensor_is_used",
    "too_short": "test_an_engine_chooses_the_tokens_of_the_reference",
    "no_end": "test_end_tokens_are_those_of_the_config",
    "raw_error": "test_a_broken_config_is_refused_in_words",
    "changes_its_config": "test_building_is_pure",
    "remembers": "test_building_is_pure",
    "with_a_list": "test_a_spec_cannot_be_changed",
    "imports_torch": "test_a_spec_is_built_without_a_tensor_library",
}
FUSED = {
    "q_and_k_swapped": LOGITS,
    "part_of_a_fused_tensor": LOGITS,
}


class GemmaKit(ModelKit):
    """What the author of the family would write."""

    configs = {  # noqa: RUF012
        "tiny": {
            "head_dim": 24,
            "sliding_window": 6,
            "query_pre_attn_scalar": 20,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 4.0,
        }
    }


@pytest.fixture
def kit_of(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.delitem(sys.modules, "model_mutants", raising=False)

    def make(builder, kit=GemmaKit, architecture="Gemma2ForCausalLM", **switches):
        line = f"models.mine=model_mutants:{builder}"
        given = {"name": "mine", "transformers_class": architecture, "plugins": (line,)}
        return type("Kit", (kit,), {**given, **switches})

    return make


def check_noticed(kit, noticed_by):
    report = run_kit(kit, noticed_by)

    failed = report.of("failed")
    assert any(test.startswith(noticed_by) for test in failed), report.texts


def test_a_sound_family_passes(kit_of):
    report = run_kit(kit_of("sound"))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    check_noticed(kit_of(fault), noticed_by)


@pytest.mark.parametrize(("fault", "noticed_by"), FUSED.items(), ids=FUSED)
def test_a_fault_in_a_fused_tensor_is_noticed(kit_of, fault, noticed_by):
    check_noticed(kit_of(fault, ModelKit, "GPT2LMHeadModel"), noticed_by)


def test_a_reference_of_the_authors_own_is_compared_with(kit_of):
    class OwnReference(GemmaKit):
        @classmethod
        def reference(cls, changes):
            known = super().reference(changes)
            return KnownModel(
                config=known.config,
                tensors=known.tensors,
                logits=lambda ids: known.logits(ids) * 1.01,
            )

    check_noticed(kit_of("sound", OwnReference), LOGITS)
    check_noticed(
        kit_of("sound", OwnReference), "test_an_engine_chooses_the_tokens_of_the_reference"
    )


def test_an_engine_that_chooses_other_tokens_is_noticed(kit_of):
    class OtherWeights(GemmaKit):
        @classmethod
        def reference(cls, changes):
            known = super().reference(changes)
            return replace(known, logits=lambda ids: known.logits(torch.flip(ids, (0,))))

    test = "test_an_engine_chooses_the_tokens_of_the_reference"

    assert "the reference" in run_kit(kit_of("sound", OtherWeights), test).texts[f"{test}[tiny]"]


def test_a_family_that_transformers_do_not_have_is_skipped_with_a_reason(kit_of):
    report = run_kit(kit_of("sound", architecture="NoSuchForCausalLM"), LOGITS)

    assert report.of("skipped") == (f"{LOGITS}[tiny]",)
    assert "has no NoSuchForCausalLM" in report.texts[f"{LOGITS}[tiny]"]


def test_without_transformers_what_needs_no_reference_is_still_tested(kit_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    report = run_kit(kit_of("sound"), "pure or logits")

    assert report.of("passed") == ("test_building_is_pure[tiny]",)
    assert "pip install transformers" in report.texts[f"{LOGITS}[tiny]"]
