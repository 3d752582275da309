"""The kit that every model family must pass: the logits of Transformers, however an engine computes them."""

from typing import ClassVar

from jackfield_testing_torch.conformance.model import ModelKit


class TestStarcoder2(ModelKit):
    name = "Starcoder2ForCausalLM"
    configs: ClassVar = {
        "plain": {},
        "window": {"sliding_window": 7},
        "no biases": {"use_bias": False, "tie_word_embeddings": False},
        "activation": {"hidden_act": "relu"},
        "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    }
