"""Greedy answers of a model of each kind are those of Transformers, with preemption, chunked prompts and cached prefixes."""

import pytest
import torch

from jackfield.sampling import SamplingParams
from jackfield_testing_torch.conformance.known_model import transformers_model, write_known_model
from jackfield_testing_torch.conformance.model_runs import open_engine

pytestmark = pytest.mark.cpu_model
KINDS = {
    "experts": (
        "Qwen3MoeForCausalLM",
        {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 48},
    ),
    "chunks of positions": (
        "Llama4ForCausalLM",
        {
            "num_hidden_layers": 4, "no_rope_layer_interval": 3, "attention_chunk_size": 10, "floor_scale": 8,
            "attn_scale": 0.5, "intermediate_size_mlp": 72, "num_local_experts": 4, "interleave_moe_layer_step": 2,
            "pad_token_id": 0,
        },
    ),
    "latent attention": (
        "DeepseekV3ForCausalLM",
        {
            "num_key_value_heads": 4, "kv_lora_rank": 24, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "head_dim": 8,
            "v_head_dim": 20, "pad_token_id": 0, "moe_intermediate_size": 48, "num_experts_per_tok": 3,
            "n_routed_experts": 8, "n_shared_experts": 2, "first_k_dense_replace": 1, "q_lora_rank": 28, "n_group": 4,
            "topk_group": 2,
        },
    ),
    "Mamba-2 beside attention": (
        "FalconH1ForCausalLM",
        {
            "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 2, "mamba_d_state": 12, "mamba_d_ssm": 128,
            "pad_token_id": 0,
        },
    ),
    "gated delta-net": (
        "Qwen3NextForCausalLM",
        {
            "layer_types": ["linear_attention", "full_attention"], "head_dim": 32, "linear_num_key_heads": 2,
            "linear_num_value_heads": 4, "linear_key_head_dim": 12, "linear_value_head_dim": 20,
            "linear_conv_kernel_dim": 4, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
            "shared_expert_intermediate_size": 48,
        },
    ),
}  # fmt: skip
SYSTEM = [7 * i % 90 for i in range(20)]
PROMPTS = [[*SYSTEM, *range(start, start + 7)] for start in (1, 20, 40, 60)]
CROWDED = {
    "cache.block_size": 4,
    "cache.num_blocks": 26,  # two requests and a half
    "cache.prefix_caching": True,
    "scheduler.max_step_tokens": 9,  # prompts are cut in three
}


@pytest.mark.parametrize("kind", KINDS)
def test_crowded_requests_say_what_transformers_says(tmp_path, kind):
    known = transformers_model(*KINDS[kind])
    write_known_model(known, tmp_path)
    params = SamplingParams(max_tokens=18, temperature=0.0, ignore_eos=True)

    with open_engine(tmp_path, (), CROWDED) as llm:
        answers = [list(output.outputs[0].token_ids) for output in llm.generate(PROMPTS, params)]
        again = [list(output.outputs[0].token_ids) for output in llm.generate(PROMPTS, params)]
        stats = llm.stats.scheduler

    for prompt, answer in zip(PROMPTS, answers, strict=True):
        logits_TV = known.logits(torch.tensor([*prompt, *answer[:-1]]))
        assert answer == logits_TV[len(prompt) - 1 :].argmax(-1).tolist()
    assert again == answers
    assert stats.num_preemptions > 0
    assert stats.num_cached_tokens > 0
