"""The kit of models passes a sound family and notices faults, each by the test that is there for it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jackfield.kv_cache.block_pool import BlockPool
from jackfield_testing.conformance.run import run_kit
from jackfield_testing_torch.conformance.known_model import KnownModel
from jackfield_testing_torch.conformance.model import ModelKit
from jackfield_torch.decoder import Decoder

pytestmark = [pytest.mark.cpu_model, pytest.mark.thorough]
FORWARD, LOGITS_OF, FIND = Decoder.forward, Decoder.logits, BlockPool.find
LOGITS = "test_logits_equal_those_of_the_reference"
MUTANTS = {  # the fault: the test that is there to notice it
    "wrong_epsilon": LOGITS,
    "window_of_one_more": LOGITS,
    "other_gelu": LOGITS,
    "gate_and_up_swapped": LOGITS,
    "key_read_as_value": "test_every_tensor_is_used",
    "too_short": "test_an_engine_chooses_the_tokens_of_the_reference",
    "raw_error": "test_a_broken_config_is_refused_in_words",
    "remembers": "test_building_is_pure",
    "imports_torch": "test_a_spec_is_built_without_a_tensor_library",
}
WRITTEN = "test_a_config_means_what_the_reference_saves"
LEFT_OUT = "test_a_key_that_is_left_out_means_the_default_of_the_reference"
UNREAD = "test_a_key_that_is_not_read_changes_no_answer"
END = "test_end_tokens_are_those_of_the_config"
OLD_ROPE = {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}}
WINDOWS_OFF = {"use_sliding_window": False, "sliding_window": 7, "max_window_layers": 0}
MISREAD = {  # the fault: architecture, what differs from TINY, and the test that is there to notice it
    "theta_default": ("LlamaForCausalLM", {}, LEFT_OUT),
    "kv_heads_default": ("LlamaForCausalLM", {}, LEFT_OUT),
    "no_window_by_default": ("MistralForCausalLM", {"sliding_window": 7}, LEFT_OUT),
    "scale_default": ("Gemma2ForCausalLM", {}, LEFT_OUT),
    "old_theta_ignored": ("LlamaForCausalLM", OLD_ROPE, WRITTEN),
    "windows_always": ("Qwen2ForCausalLM", WINDOWS_OFF, WRITTEN),
    "bias_ignored": ("LlamaForCausalLM", {}, UNREAD),
    "first_end_token": ("LlamaForCausalLM", {}, END),
    "too_short": ("LlamaForCausalLM", {}, "test_the_length_is_that_of_the_config"),
    "old_dtype_ignored": (
        "LlamaForCausalLM",
        {},
        "test_the_dtype_is_that_of_the_config[tiny-torch_dtype]",
    ),
    "raw_error_in_a_table": (
        "LlamaForCausalLM",
        {},
        "test_a_broken_config_is_refused_in_words[tiny-nonsense]",
    ),
}
FUSED = {
    "q_and_k_swapped": LOGITS,
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

    def make(
        builder, kit=GemmaKit, architecture="Gemma2ForCausalLM", module="model_mutants", **switches
    ):
        line = f"models.mine={module}:{builder}"
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


@pytest.mark.parametrize("fault", MISREAD)
def test_a_config_that_is_misread_is_noticed(kit_of, fault):
    architecture, changes, noticed_by = MISREAD[fault]
    kit = kit_of(fault, ModelKit, architecture, module="config_mutants", configs={"tiny": changes})

    check_noticed(kit, noticed_by)


def test_what_a_config_is_misread_as_is_said(kit_of):
    kit = kit_of("kv_heads_default", ModelKit, "LlamaForCausalLM", module="config_mutants")

    said = run_kit(kit, LEFT_OUT).texts[f"{LEFT_OUT}[tiny]"]

    assert (
        "without the key num_key_value_heads spec.layers[0].mixer.num_kv_heads is 1, not 4" in said
    )


@pytest.mark.parametrize(("fault", "noticed_by"), FUSED.items(), ids=FUSED)
def test_a_fault_in_a_fused_tensor_is_noticed(kit_of, fault, noticed_by):
    check_noticed(kit_of(fault, ModelKit, "GPT2LMHeadModel"), noticed_by)


def forgets_earlier_chunks(decoder, token_ids_T, positions_T, attention):
    return FORWARD(decoder, token_ids_T, positions_T - positions_T[0], attention)


def mixes_up_rows(decoder, hidden_SE):
    return LOGITS_OF(decoder, hidden_SE).roll(1, 0)


def finds_the_block_beside(pool, block_hash):
    found = FIND(pool, block_hash)
    return None if found is None else found ^ 1


@pytest.mark.parametrize(
    ("target", "method", "faulty", "noticed_by"),
    [
        (Decoder, "forward", forgets_earlier_chunks, "chunks_of_a_prompt_give_what_the_whole"),
        (Decoder, "logits", mixes_up_rows, "rows_may_come_in_any_order"),
        (BlockPool, "find", finds_the_block_beside, "a_prefix_that_is_used_again_changes_nothing"),
    ],
)
def test_a_faulty_runtime_is_noticed(kit_of, monkeypatch, target, method, faulty, noticed_by):
    monkeypatch.setattr(target, method, faulty)

    check_noticed(kit_of("sound"), f"test_{noticed_by}")


def test_the_configs_of_an_author_stay_as_they_are(kit_of):
    table = {"rope_type": "yarn", "factor": 4.0}
    kit = kit_of(
        "sound", ModelKit, "LlamaForCausalLM", configs={"yarn": {"rope_parameters": table}}
    )

    run_kit(kit, LOGITS)

    assert table == {"rope_type": "yarn", "factor": 4.0}


def test_a_reference_of_the_authors_own_is_compared_with(kit_of):
    class OwnReference(GemmaKit):
        @classmethod
        def reference(cls, changes):
            known = super().reference(changes)
            return KnownModel(
                config=known.config,  # neither `written` nor `meaning`
                tensors=known.tensors,
                logits=lambda ids: known.logits(ids) * 1.01,
            )

    check_noticed(kit_of("sound", OwnReference), LOGITS)
    check_noticed(
        kit_of("sound", OwnReference), "test_an_engine_chooses_the_tokens_of_the_reference"
    )


def test_a_reference_that_knows_one_config_only_is_not_asked_for_others(kit_of):
    class OneConfig(GemmaKit):
        @classmethod
        def reference(cls, changes):
            return replace(super().reference(changes), written={}, meaning=None)

    report = run_kit(kit_of("sound", OneConfig), f"{WRITTEN} or {LEFT_OUT} or {UNREAD}")

    assert set(report.outcomes.values()) == {"skipped"}


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

    assert report.of("not_shown") == (f"{LOGITS}[tiny]",)
    assert "has no NoSuchForCausalLM" in report.texts[f"{LOGITS}[tiny]"]


def test_without_transformers_what_needs_no_reference_is_still_tested(kit_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    report = run_kit(kit_of("sound"), "pure or logits")

    assert report.of("passed") == ("test_building_is_pure[tiny]",)
    assert "pip install transformers" in report.texts[f"{LOGITS}[tiny]"]
