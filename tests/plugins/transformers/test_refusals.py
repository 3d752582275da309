"""What a paged cache cannot serve is refused by name, before anything is loaded."""

from dataclasses import replace

import pytest

from jackfield.dtypes import FLOAT8_E4M3
from jackfield.errors import CheckpointError, UnsupportedModelError
from jackfield_testing_torch.conformance.known_model import MemoryCheckpoint
from jackfield_torch.foreign import shown_checkpoint

DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        ("T5ForConditionalGeneration", {}, "encoder"),
        ("BertLMHeadModel", {"num_hidden_layers": 1}, "see later ones"),
        ("RecurrentGemmaForCausalLM", {"num_hidden_layers": 3}, "state of its own"),
        ("StableLmForCausalLM", {"num_hidden_layers": 1}, "AttentionInterface"),
        ("LlamaForCausalLM", {"num_hidden_layers": 1, "rope_parameters": DYNAMIC}, "'dynamic'"),
        ("WhollyNewForCausalLM", {}, "have no WhollyNewForCausalLM"),
    ],
)
def test_it_is_told_why(name, config, told, make_spec):
    with pytest.raises(UnsupportedModelError, match=told):
        make_spec({**config, "architectures": [name]})


def test_a_config_that_breaks_their_code_is_refused_in_their_words(make_spec):
    with pytest.raises(UnsupportedModelError, match="fails on this config"):
        make_spec({"architectures": ["LlamaForCausalLM"], "num_attention_heads": 0})


def test_experts_that_a_scheme_would_have_to_multiply_are_refused(make_known, make_spec):
    config = make_known("ExaoneMoeForCausalLM").config
    table = {"quant_method": "gptq", "bits": 4}

    with pytest.raises(UnsupportedModelError, match="reads no weights of quantization method"):
        make_spec({**config, "quantization_config": table})
    make_spec({**config, "quantization_config": {**table, "modules_to_not_convert": ["experts"]}})


def test_numbers_that_need_scales_are_not_read_as_weights(make_known, make_spec):
    model = make_known("ExaoneMoeForCausalLM")
    spec = make_spec(model.config)
    name = next(name for name in model.tensors if ".experts.0." in name)
    checkpoint = MemoryCheckpoint(model)
    infos = {**checkpoint.tensors, name: replace(checkpoint.tensors[name], dtype=FLOAT8_E4M3)}

    with pytest.raises(CheckpointError, match="stored as float8_e4m3"):
        shown_checkpoint(Shown(model, infos), spec)


class Shown(MemoryCheckpoint):
    def __init__(self, model, infos):
        super().__init__(model)
        self.infos = infos

    @property
    def tensors(self):
        return self.infos
