"""Llama, Mistral and their relatives pass the kit of models."""

import re
from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from jackfield_testing_torch.conformance.encoder import EncoderKit
from jackfield_testing_torch.conformance.known_model import TINY
from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model

LONG = {"original_max_position_embeddings": 16, "rope_theta": 10000.0}  # the kit's text is longer

SCALED = {
    "embedding_multiplier": 3.0,
    "logits_scaling": 2.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.3,
}

TINY_TEXT = {key: value for key, value in TINY.items() if "norm" not in key or "rms" in key}
LLAMA4 = {
    "num_hidden_layers": 4,
    "no_rope_layer_interval": 3,
    "attention_chunk_size": 10,
    "floor_scale": 8,
    "attn_scale": 0.5,
    "intermediate_size_mlp": 72,
    "num_local_experts": 4,
}


class TestLlamaForSequenceClassification(EncoderKit):
    name = "LlamaForSequenceClassification"


class TestLlama(ModelKit):
    name = "LlamaForCausalLM"
    configs: ClassVar = {
        "plain": {},
        "biases": {"attention_bias": True, "mlp_bias": True, "head_dim": 20},
        "tied": {"tie_word_embeddings": True, "hidden_act": "gelu_pytorch_tanh"},
        "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        "old keys": {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
        "linear": {"rope_parameters": {**LONG, "rope_type": "linear", "factor": 4.0}},
        "yarn": {"rope_parameters": {**LONG, "rope_type": "yarn", "factor": 4.0}},
        "llama3": {
            "rope_parameters": {
                **LONG,
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            }
        },
    }


class TestMistral(ModelKit):
    name = "MistralForCausalLM"
    configs: ClassVar = {"window": {"sliding_window": 7}, "no window": {"sliding_window": None}}


class TestMixtral(ModelKit):
    name = "MixtralForCausalLM"
    configs: ClassVar = {"window": {"sliding_window": 7, "num_local_experts": 4}}


class TestLlama4(ModelKit):
    name = "Llama4ForCausalLM"
    configs: ClassVar = {
        "interleaved": {
            **LLAMA4,
            "attention_bias": True,
            "interleave_moe_layer_step": 2,
            "num_experts_per_tok": 2,
        },
        "listed": {
            **LLAMA4,
            "no_rope_layers": [0, 1, 1, 0],
            "layer_types": ["chunked_attention", "full_attention"] * 2,
            "moe_layers": [0],
            "use_qk_norm": False,
        },
        "scout": {
            **LLAMA4,
            "attn_temperature_tuning": False,
            "rope_parameters": {
                **LONG,
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 1.0,
            },
        },
    }


class TestLlama4ThatSees(ModelKit):
    """Its text alone: what belongs to images has no place in the spec."""

    name = "Llama4ForConditionalGeneration"
    configs: ClassVar = {
        "text": {
            "text_config": {**TINY_TEXT, **LLAMA4},
            "vision_config": {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "vision_output_dim": 16,
                "projector_input_dim": 16,
                "projector_output_dim": 16,
                "image_size": 28,
            },
            "dtype": "float32",
        }
    }

    @classmethod
    def reference(cls, changes):
        known = super().reference(changes)
        of_text = {n: t for n, t in known.tensors.items() if n.startswith("language_model.")}
        assert len(of_text) < len(known.tensors)
        return replace(known, tensors=of_text)


class TestMiniMaxM2(ModelKit):
    name = "MiniMaxM2ForCausalLM"
    configs: ClassVar = {"plain": {"num_local_experts": 4, "num_experts_per_tok": 2}}


class TestGraniteMoe(ModelKit):
    name = "GraniteMoeForCausalLM"
    configs: ClassVar = {"scaled": {**SCALED, "num_local_experts": 4}}


class TestGraniteMoeShared(ModelKit):
    name = "GraniteMoeSharedForCausalLM"
    configs: ClassVar = {
        "shared": {**SCALED, "num_local_experts": 4, "shared_intermediate_size": 24}
    }


class TestHunYuanMoe(ModelKit):
    name = "HunYuanMoEV1ForCausalLM"
    configs: ClassVar = {"plain": {"num_experts": 4, "moe_topk": 2}}


class TestErnie45Moe(ModelKit):
    name = "Ernie4_5_MoeForCausalLM"
    configs: ClassVar = {
        "biases": {
            "use_bias": True,
            "moe_num_experts": 4,
            "moe_k": 2,
            "moe_intermediate_size": 24,
        }
    }


class TestDots1(ModelKit):
    name = "Dots1ForCausalLM"
    configs: ClassVar = {
        "groups": {
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "n_shared_experts": 2,
            "moe_intermediate_size": 24,
            "n_group": 4,
            "topk_group": 2,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.5,
            "first_k_dense_replace": 1,
            "sliding_window": 7,
            "max_window_layers": 1,
        }
    }


class TestMinistral(ModelKit):
    name = "MinistralForCausalLM"
    configs: ClassVar = {
        "mixed": {"sliding_window": 7, "layer_types": ["full_attention", "sliding_attention"]}
    }


class TestInternLM3(ModelKit):
    name = "InternLM3ForCausalLM"
    transformers_class = "LlamaForCausalLM"
    transformers_config = "InternLM3Config"
    configs: ClassVar = {"biases": {"attention_bias": True, "mlp_bias": True}}


class Renamed(ModelKit):
    """Their own code lies beside their checkpoints: the reference computes the same under names of Transformers."""

    own_keys: ClassVar = {}  # of the config, from Transformers' names
    own_parts: ClassVar = {}  # parts of names of tensors, likewise

    @classmethod
    def reference(cls, changes):
        known = super().reference(changes)
        config = {cls.own_keys.get(key, key): value for key, value in known.config.items()}
        tensors = {}
        for name, tensor in known.tensors.items():
            for part, own in cls.own_parts.items():
                name = name.replace(part, own)
            tensors[name] = tensor
        return replace(known, config=config, tensors=tensors, written={}, meaning=None)


class TestExaone(Renamed):
    name = "ExaoneForCausalLM"
    transformers_class = "LlamaForCausalLM"
    configs: ClassVar = {
        "plain": {},
        "linear": {"rope_parameters": {**LONG, "rope_type": "linear", "factor": 4.0}},
    }
    own_keys: ClassVar = {
        "num_hidden_layers": "num_layers", "hidden_act": "activation_function", "rms_norm_eps": "layer_norm_epsilon",
    }  # fmt: skip
    own_parts: ClassVar = {
        "model.layers": "transformer.h", "model.embed_tokens": "transformer.wte", "model.norm": "transformer.ln_f",
        "input_layernorm": "ln_1", "post_attention_layernorm": "ln_2", "self_attn": "attn.attention", "o_proj": "out_proj",
        "mlp.gate_proj": "mlp.c_fc_0", "mlp.up_proj": "mlp.c_fc_1", "mlp.down_proj": "mlp.c_proj",
    }  # fmt: skip


class TestInternLM2(Renamed):
    name = "InternLM2ForCausalLM"
    transformers_class = "LlamaForCausalLM"
    configs: ClassVar = {"biases": {"attention_bias": True}, "plain": {"attention_bias": False}}
    own_keys: ClassVar = {"attention_bias": "bias"}
    own_parts: ClassVar = {
        "embed_tokens": "tok_embeddings", "lm_head": "output", "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm", "self_attn.o_proj": "attention.wo", "self_attn": "attention",
        "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
    }  # fmt: skip

    @classmethod
    def reference(cls, changes):
        known = super().reference(changes)
        heads = known.config["num_key_value_heads"]
        tensors = {
            n: t for n, t in known.tensors.items() if not re.search("attention.[qkv]_proj", n)
        }
        for name, q in known.tensors.items():
            if "q_proj" in name:
                k, v = (known.tensors[name.replace("q_proj", f"{x}_proj")] for x in "kv")
                parts = [x.unflatten(0, (heads, -1)) for x in (q, k, v)]
                tensors[name.replace("q_proj", "wqkv")] = torch.cat(parts, 1).flatten(0, 1)
        return replace(known, tensors=tensors)


class TestMiniCPM(Renamed):
    name = "MiniCPMForCausalLM"
    transformers_class = "GraniteForCausalLM"
    configs: ClassVar = {
        "scaled": {
            "embedding_multiplier": 3.0, "residual_multiplier": 1.4 / 2**0.5, "logits_scaling": 4.0,
            "attention_multiplier": 16**-0.5,
        }
    }  # fmt: skip

    @classmethod
    def reference(cls, changes):
        known = super().reference(changes)
        config = {
            key: value
            for key, value in known.config.items()
            if "multiplier" not in key and key != "logits_scaling"
        }
        own = {
            "scale_emb": 3.0,
            "scale_depth": 1.4,
            "dim_model_base": 16,
            "tie_word_embeddings": False,
        }
        return replace(known, config={**config, **own})


class TestIQuestCoder(ModelKit):
    name = "IQuestCoderForCausalLM"
    transformers_class = "LlamaForCausalLM"
    transformers_config = "IQuestCoderConfig"


class TestCwm(ModelKit):
    name = "CwmForCausalLM"
    configs: ClassVar = {"windows": {"sliding_window": 7, "num_hidden_layers": 5}}


class TestArcee(ModelKit):
    name = "ArceeForCausalLM"
    configs: ClassVar = {"biases": {"attention_bias": True, "mlp_bias": True}}


class TestSeedOss(ModelKit):
    name = "SeedOssForCausalLM"
    configs: ClassVar = {"biases": {"attention_out_bias": True, "mlp_bias": True}}


class TestHelium(ModelKit):
    name = "HeliumForCausalLM"
    configs: ClassVar = {"biases": {"attention_bias": True, "mlp_bias": True, "head_dim": 16}}


class TestErnie45(ModelKit):
    name = "Ernie4_5ForCausalLM"
    configs: ClassVar = {"biases": {"use_bias": True}}


class TestSmolLM3(ModelKit):
    name = "SmolLM3ForCausalLM"
    configs: ClassVar = {
        "plain": {"num_hidden_layers": 5, "pad_token_id": 0},
        "windows": {
            "num_hidden_layers": 4,
            "pad_token_id": 0,
            "use_sliding_window": True,
            "sliding_window": 7,
        },
    }


class TestGranite(ModelKit):
    name = "GraniteForCausalLM"
    configs: ClassVar = {"scaled": SCALED}


class TestHyperCLOVAX(ModelKit):
    name = "HyperCLOVAXForCausalLM"
    configs: ClassVar = {"scaled": SCALED, "no post norms": {**SCALED, "use_post_norm": False}}


class TestExaone4(ModelKit):
    name = "Exaone4ForCausalLM"
    configs: ClassVar = {
        "windows": {"sliding_window": 7, "num_hidden_layers": 5},
        "no windows": {"sliding_window": None, "layer_types": ["full_attention"] * 2},
    }


class TestHunYuan(ModelKit):
    name = "HunYuanDenseV1ForCausalLM"
