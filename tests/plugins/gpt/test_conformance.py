"""GPT-2's descendants pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestGPTNeoX(ModelKit):
    name = "GPTNeoXForCausalLM"
    configs: ClassVar = {
        "parallel": {},
        "in turn": {"use_parallel_residual": False, "attention_bias": False},
    }


class TestGPTJ(ModelKit):
    name = "GPTJForCausalLM"
    configs: ClassVar = {
        "plain": {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 64, "rotary_dim": 8}
    }


class TestCodeGen(ModelKit):
    name = "CodeGenForCausalLM"
    configs: ClassVar = {
        "plain": {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 64, "rotary_dim": 8}
    }


class TestGPTNeo(ModelKit):
    name = "GPTNeoForCausalLM"
    configs: ClassVar = {
        "windows": {
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 7,
        }
    }


class TestGPTBigCode(ModelKit):
    name = "GPTBigCodeForCausalLM"
    configs: ClassVar = {
        "one kv head": {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 64},
        "many kv heads": {
            "n_embd": 64,
            "n_head": 4,
            "n_layer": 2,
            "n_positions": 64,
            "multi_query": False,
        },
    }


class TestOPT(ModelKit):
    name = "OPTForCausalLM"
    configs: ClassVar = {
        "plain": {"ffn_dim": 96, "word_embed_proj_dim": 64},
        "bare": {
            "ffn_dim": 96,
            "word_embed_proj_dim": 64,
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
        },
    }


class TestBioGpt(ModelKit):
    name = "BioGptForCausalLM"


class TestBloom(ModelKit):
    name = "BloomForCausalLM"
    configs: ClassVar = {"six heads": {"n_layer": 2, "n_head": 6, "hidden_size": 48}}


class TestMpt(ModelKit):
    name = "MptForCausalLM"
    configs: ClassVar = {
        "clipped": {
            "d_model": 64,
            "n_heads": 4,
            "n_layers": 2,
            "max_seq_len": 64,
            "attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.2},
        }
    }


class TestFalcon(ModelKit):
    name = "FalconForCausalLM"
    configs: ClassVar = {
        "7b": {"ffn_hidden_size": 96},
        "40b": {"ffn_hidden_size": 96, "new_decoder_architecture": True, "num_kv_heads": 2},
        "rw": {
            "ffn_hidden_size": 96,
            "multi_query": False,
            "parallel_attn": False,
            "bias": True,
        },
    }


class TestPersimmon(ModelKit):
    name = "PersimmonForCausalLM"


class TestNemotron(ModelKit):
    name = "NemotronForCausalLM"
    configs: ClassVar = {"biases": {"attention_bias": True, "mlp_bias": True}}


class TestJais2(ModelKit):
    name = "Jais2ForCausalLM"
