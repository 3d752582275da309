"""From GGUF's names of modules to canonical ones, for each architecture, and the format's changes to tensors.

A key with a parameter is the whole name of that tensor. `{e}` stands in the name of a tensor of all experts.
Source: llama.cpp's converters, and the tensor names of the `gguf` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jackfield_gguf.undo import Undo


@dataclass(frozen=True, slots=True)
class Table:
    """The names of one architecture. Changes to undo are given by module, or by module and parameter."""

    modules: Mapping[str, str]
    undo: Mapping[str, Undo] = field(default_factory=dict)
    blocks: str = "model.layers"


_LLAMA: Mapping[str, str] = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_EXPERTS: Mapping[str, str] = {
    **_LLAMA,
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{e}.gate_proj",
    "ffn_up_exps": "mlp.experts.{e}.up_proj",
    "ffn_down_exps": "mlp.experts.{e}.down_proj",
}
_QWEN2_MOE: Mapping[str, str] = {
    **_EXPERTS,
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_MIXTRAL: Mapping[str, str] = {
    **_LLAMA,
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{e}.w1",
    "ffn_up_exps": "block_sparse_moe.experts.{e}.w3",
    "ffn_down_exps": "block_sparse_moe.experts.{e}.w2",
}
_GPT_OSS: Mapping[str, str] = {
    **_EXPERTS,
    "attn_sinks.weight": "self_attn.sinks",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.router",
}
_LLAMA4: Mapping[str, str] = {
    **_LLAMA,
    "ffn_gate": "feed_forward.gate_proj",
    "ffn_up": "feed_forward.up_proj",
    "ffn_down": "feed_forward.down_proj",
    "ffn_gate_inp": "feed_forward.router",
    "ffn_gate_exps": "feed_forward.experts.{e}.gate_proj",
    "ffn_up_exps": "feed_forward.experts.{e}.up_proj",
    "ffn_down_exps": "feed_forward.experts.{e}.down_proj",
    "ffn_gate_shexp": "feed_forward.shared_expert.gate_proj",
    "ffn_up_shexp": "feed_forward.shared_expert.up_proj",
    "ffn_down_shexp": "feed_forward.shared_expert.down_proj",
}
_DEEPSEEK2: Mapping[str, str] = {
    **_EXPERTS,
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_kv_b": "self_attn.kv_b_proj",  # in older files
    "attn_k_b": "self_attn.kv_b_proj",
    "attn_v_b": "self_attn.kv_b_proj",
    "exp_probs_b.bias": "mlp.gate.e_score_correction_bias",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}
_SANDWICH: Mapping[str, str] = {
    **_LLAMA,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GPT2: Mapping[str, str] = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


def _state_space(module: str) -> Mapping[str, str]:
    return {
        "ssm_in": f"{module}.in_proj",
        "ssm_conv1d": f"{module}.conv1d",
        "ssm_dt.bias": f"{module}.dt_bias",
        "ssm_a": f"{module}.A_log",
        "ssm_d": f"{module}.D",
        "ssm_norm": f"{module}.norm",
        "ssm_out": f"{module}.out_proj",
    }


_MAMBA2: Mapping[str, str] = {
    "token_embd": "backbone.embeddings",
    "output_norm": "backbone.norm_f",
    "output": "lm_head",
    "attn_norm": "norm",
    **_state_space("mixer"),
}
_HYBRID: Mapping[str, str] = {
    **_LLAMA,
    **_state_space("mamba"),
    "output_norm": "model.final_layernorm",
    "ffn_norm": "pre_ff_layernorm",
    "ffn_gate": "feed_forward.gate_proj",
    "ffn_up": "feed_forward.up_proj",
    "ffn_down": "feed_forward.down_proj",
}
_FALCON_H1: Mapping[str, str] = {
    **_HYBRID,
    "ffn_norm": "pre_ff_layernorm.weight",  # converters leave out the last part
    "ffn_norm.weight": "pre_ff_layernorm.weight",
}
_GRANITE: Mapping[str, str] = {
    **_LLAMA,
    **_state_space("mamba"),
    "ffn_gate": "shared_mlp.gate_proj",
    "ffn_up": "shared_mlp.up_proj",
    "ffn_down": "shared_mlp.down_proj",
    "ffn_gate_shexp": "shared_mlp.gate_proj",
    "ffn_up_shexp": "shared_mlp.up_proj",
    "ffn_down_shexp": "shared_mlp.down_proj",
    "ffn_gate_inp": "block_sparse_moe.router.layer",
    "ffn_gate_exps": "block_sparse_moe.experts.{e}.gate_proj",
    "ffn_up_exps": "block_sparse_moe.experts.{e}.up_proj",
    "ffn_down_exps": "block_sparse_moe.experts.{e}.down_proj",
}
_QWEN3_NEXT: Mapping[str, str] = {
    **_QWEN2_MOE,
    **_state_space("linear_attn"),
    "post_attention_norm": "post_attention_layernorm",
    "attn_qkv": "linear_attn.in_proj_qkv",
    "attn_gate": "linear_attn.in_proj_z",
    "ssm_in": "linear_attn.in_proj_qkvz",  # in older files
    "ssm_ba": "linear_attn.in_proj_ba",
}
_PAIRS = {"attn_q": Undo.UNPAIR, "attn_k": Undo.UNPAIR}
_STATES = {
    "ssm_conv1d.weight": Undo.ADD_AXIS,
    "ssm_a": Undo.LOGARITHM,
    "ssm_d": Undo.FLATTEN,
    "ssm_norm": Undo.FLATTEN,
}
_GPT2_MATRICES = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")


def _gemma(modules: Mapping[str, str]) -> Table:
    return Table(modules, {name: Undo.SUBTRACT_ONE for name in modules if name.endswith("norm")})


TABLES: Mapping[str, Table] = {
    "llama": Table(_LLAMA, _PAIRS),
    "llama with experts": Table(_MIXTRAL, _PAIRS),
    "llama4": Table(_LLAMA4),
    "qwen2": Table(_LLAMA),
    "qwen2moe": Table(_QWEN2_MOE, {"ffn_gate_inp_shexp": Undo.ONE_ROW}),
    "qwen3": Table(_LLAMA),
    "qwen3moe": Table(_EXPERTS),
    "olmoe": Table(_EXPERTS),
    "gpt-oss": Table(_GPT_OSS),
    "deepseek2": Table(_DEEPSEEK2, {"attn_k_b": Undo.KEYS, "attn_v_b": Undo.VALUES}),
    "gemma": _gemma(_LLAMA),
    "gemma2": _gemma(_SANDWICH),
    "gemma3": _gemma(_SANDWICH),
    "gpt2": Table(
        _GPT2,
        {f"{name}.weight": Undo.TRANSPOSE for name in _GPT2_MATRICES},
        blocks="transformer.h",
    ),
    "mamba2": Table(_MAMBA2, _STATES, blocks="backbone.layers"),
    "falcon-h1": Table(_FALCON_H1, _STATES),
    "granitehybrid": Table(_HYBRID, {**_PAIRS, **_STATES}),
    "granitehybrid without rope": Table(_GRANITE, {**_PAIRS, **_STATES}),
    "qwen3next": Table(
        _QWEN3_NEXT,
        {
            **{name: Undo.SUBTRACT_ONE for name in _QWEN3_NEXT if name.endswith("norm")},
            "ffn_gate_inp_shexp": Undo.ONE_ROW,
            "ssm_conv1d.weight": Undo.ADD_AXIS,
            "ssm_a": Undo.LOGARITHM,
            "ssm_norm": Undo.NOTHING,
        },
    ),
}
