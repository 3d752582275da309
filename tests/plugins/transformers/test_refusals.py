"""What a paged cache cannot serve is refused by name, before anything is loaded."""

import pytest

from jackfield.errors import UnsupportedModelError

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
