"""An engine of two gloo ranks answers as an engine of one."""

import json
import os
import signal

import pytest

from jackfield import LLM, SamplingParams
from jackfield.errors import WorkerError

pytestmark = pytest.mark.distributed
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
SETTINGS = {
    "select.weight_format": "dummy",
    "model.dtype": "float32",
    "cache.block_size": 4,
    "cache.num_blocks": 64,
    "plugins.probe": "inline",
    "scheduler.max_step_tokens": 16,
}
PROMPTS = [[1, 2, 3], list(range(40)), [95] * 9]


EXPERTS = {
    "qwen3 moe": {
        "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 48, "head_dim": 16,
    },
    "deepseek v3": {
        "architectures": ["DeepseekV3ForCausalLM"], "num_key_value_heads": 4, "kv_lora_rank": 24, "q_lora_rank": 28,
        "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 20, "moe_intermediate_size": 48,
        "num_experts_per_tok": 2, "n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1,
        "n_group": 2, "topk_group": 1,
    },
}  # fmt: skip


def answers(folder, num_ranks, **more):
    settings = {**SETTINGS, "executor.tensor_parallel": num_ranks, **more}
    params = SamplingParams(max_tokens=8, temperature=0.0, logprobs=1)
    with LLM(str(folder), settings=settings) as llm:
        return [output.outputs[0] for output in llm.generate(PROMPTS, params)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def test_two_ranks_draw_the_tokens_of_one(folder):
    check_same(answers(folder, 1), answers(folder, 2))


@pytest.mark.parametrize(
    "shape", ["qwen3 moe", pytest.param("deepseek v3", marks=pytest.mark.thorough)]
)
def test_ranks_that_share_experts_out_draw_the_tokens_of_one(folder, shape):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **EXPERTS[shape]}))

    check_same(answers(folder, 1), answers(folder, 2, **{"executor.expert_parallel": True}))


def check_same(alone, shared):
    assert [answer.token_ids for answer in shared] == [answer.token_ids for answer in alone]
    for ours, theirs in zip(shared, alone, strict=True):
        found = [entry.logprob for entry in ours.logprobs]
        assert found == pytest.approx([entry.logprob for entry in theirs.logprobs], abs=1e-5)


def test_a_rank_that_dies_mid_answer_ends_the_engine_with_its_error(folder):
    settings = {**SETTINGS, "executor.tensor_parallel": 2}
    with LLM(str(folder), settings=settings) as llm:
        stream = llm.stream(PROMPTS, SamplingParams(max_tokens=20, ignore_eos=True))
        next(stream)
        os.kill(llm.engine._open_state.parts.executor.process_ids[1], signal.SIGKILL)

        with pytest.raises(WorkerError, match="rank"):
            list(stream)
