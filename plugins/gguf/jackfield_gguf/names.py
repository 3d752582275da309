"""From GGUF's tensor names to canonical ones, and what the format bakes into which tensor.

Converters to GGUF permute Llama's q and k, so that rotary pairs stand side by side; add one to Gemma's norms; and
store GPT-2's matrices [out, in], where its own checkpoint has [in, out].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from jackfield.errors import CheckpointError
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.rope import FREQUENCIES

_PARTS = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<module>\w+)\.(?P<parameter>weight|bias)")
# Tables that follow from the metadata; FREQUENCIES is read into the config.
_DERIVED = re.compile(rf"{re.escape(FREQUENCIES)}|blk\.\d+\.attn_rot_embd\.weight")

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
_QWEN3_MOE: Mapping[str, str] = {
    **_LLAMA,
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{e}.gate_proj",
    "ffn_up_exps": "mlp.experts.{e}.up_proj",
    "ffn_down_exps": "mlp.experts.{e}.down_proj",
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
_TABLES: Mapping[str, Mapping[str, str]] = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3moe": _QWEN3_MOE,
    "gemma": _LLAMA,
    "gemma2": _SANDWICH,
    "gemma3": _SANDWICH,
    "gpt2": _GPT2,
}
_GPT2_MATRICES = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")


class Undo(Enum):
    """What must be done to a stored tensor to get the canonical one."""

    NOTHING = auto()
    UNPAIR = auto()  # rotary pairs (0, 1), (2, 3), ... of each head back to halves
    SUBTRACT_ONE = auto()
    TRANSPOSE = auto()


@dataclass(frozen=True, slots=True)
class CanonicalName:
    """A canonical name, with what to undo; `num_heads` for UNPAIR.

    `{e}` stands in the name of a tensor of all experts, which are tensors of their own in the canonical form.
    """

    name: str
    undo: Undo = Undo.NOTHING
    num_heads: int = 0


def canonical_name(stored: str, metadata: Metadata) -> CanonicalName | None:
    """The canonical name of a stored tensor; None for tables that follow from the metadata."""
    if _DERIVED.fullmatch(stored):
        return None
    parts = _PARTS.fullmatch(stored)
    module = _TABLES[metadata.architecture].get(parts["module"]) if parts else None
    if parts is None or module is None:
        raise CheckpointError(
            f"{metadata.path} has the tensor {stored!r}, which no {metadata.architecture} model that "
            "is supported here has; ignoring it would give wrong answers. Use the model's original "
            "checkpoint"
        )
    blocks = "transformer.h" if metadata.architecture == "gpt2" else "model.layers"
    prefix = f"{blocks}.{parts['layer']}." if parts["layer"] else ""
    name = f"{prefix}{module}.{parts['parameter']}"
    undo, num_heads = _undo(metadata, parts["module"], parts["parameter"])
    return CanonicalName(name, undo, num_heads)


def _undo(metadata: Metadata, module: str, parameter: str) -> tuple[Undo, int]:
    architecture = metadata.architecture
    if architecture == "llama" and module in ("attn_q", "attn_k"):
        num_heads = metadata.require("attention.head_count", int)
        if module == "attn_k":
            num_heads = metadata.get("attention.head_count_kv", int, num_heads)
        return Undo.UNPAIR, num_heads
    if architecture.startswith("gemma") and module.endswith("norm"):
        return Undo.SUBTRACT_ONE, 0
    if architecture == "gpt2" and module in _GPT2_MATRICES and parameter == "weight":
        return Undo.TRANSPOSE, 0
    return Undo.NOTHING, 0
