"""One rank of tiny models, as a program: decoder_rank.py RANK NUM_RANKS RENDEZVOUS OUTPUT writes all its logits."""

import sys
from dataclasses import replace

import torch

from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import ModelSpec
from jackfield_deepseek.model import deepseek_v3
from jackfield_gemma.model import gemma
from jackfield_gpt_oss.model import gpt_oss
from jackfield_llama.model import llama
from jackfield_qwen.moe import qwen3_moe
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import RandomWeights
from jackfield_torch.tensor_parallel import RankGroup, join_ranks
from jackfield_torch.unquantized import UnquantizedScheme


def with_sinks(config: ConfigReader) -> ModelSpec:
    """A Llama of which each head has one score more."""
    spec = llama(config)
    layers = (replace(layer, mixer=replace(layer.mixer, sinks=True)) for layer in spec.layers)
    return replace(spec, layers=tuple(layers))


LENGTH = 12  # tokens
CONFIG = {
    "architectures": ["Tiny"],
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
DEEPSEEK = {
    "num_key_value_heads": 4, "kv_lora_rank": 24, "q_lora_rank": 28, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8,
    "v_head_dim": 20, "moe_intermediate_size": 48, "num_experts_per_tok": 2, "n_routed_experts": 8, "n_shared_experts": 1,
    "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1,
}  # fmt: skip
CASES = {
    "llama": (llama, {}),
    "biases": (llama, {"attention_bias": True, "mlp_bias": True}),
    "tied": (llama, {"tie_word_embeddings": True}),
    "odd_vocabulary": (llama, {"vocab_size": 97}),
    "one_kv_head": (gemma, {"num_key_value_heads": 1}),
    "sinks": (with_sinks, {}),
    "experts": (gpt_oss, {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "whole_experts": (gpt_oss, {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe": (qwen3_moe, EXPERTS),
    "whole_qwen3_moe": (qwen3_moe, EXPERTS),
    "deepseek": (deepseek_v3, DEEPSEEK),
    "whole_deepseek": (deepseek_v3, DEEPSEEK),
}


def run(name: str, group: RankGroup, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The logits of one model, on every rank."""
    build, changes = CASES[name]
    spec = build(ConfigReader({**CONFIG, **changes}))
    cpu, scheme = torch.device("cpu"), UnquantizedScheme()
    weights = RandomWeights(seed=3, device=cpu, std=0.2)
    with torch.inference_mode():
        decoder = assemble_decoder(
            LoadContext(
                spec=spec,
                weights=weights,
                device=cpu,
                dtype=dtype,
                schemes=lambda part: scheme,
                ranks=group,
                max_length=LENGTH,
                whole_experts=name.startswith("whole_"),
            )
        )
        token_ids = torch.arange(LENGTH) * 7 % 96
        attention = DenseAttention(spec, decoder.sinks)
        hidden = decoder.forward(token_ids, torch.arange(LENGTH), attention)
        return decoder.logits(hidden)


if __name__ == "__main__":
    rank, num_ranks, rendezvous, output = sys.argv[1:]
    torch.set_num_threads(1)
    group = join_ranks(int(rank), int(num_ranks), rendezvous, "gloo", timeout_s=60)
    logits = {name: run(name, group) for name in CASES}
    logits["bfloat16"] = run("llama", group, torch.bfloat16)
    torch.save(logits, output)
    group.close()
