"""What latent attention keeps of a token."""

import json

import pytest

from jackfield.cache import LATENT
from jackfield.cli.main import main
from jackfield.dtypes import BFLOAT16
from jackfield.interfaces.model import ConfigReader
from jackfield_deepseek.model import deepseek_v2, deepseek_v3

# Published: DeepSeek-V2-Lite, as far as the spec reads it.
LITE = {
    "architectures": ["DeepseekV2ForCausalLM"], "vocab_size": 102_400, "hidden_size": 2048, "intermediate_size": 10_944,
    "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "q_lora_rank": None,
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 64,
    "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1408, "first_k_dense_replace": 1,
    "max_position_embeddings": 163_840, "rope_theta": 10_000,
    "rope_scaling": {
        "type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "mscale": 0.707,
        "mscale_all_dim": 0.707, "beta_fast": 32, "beta_slow": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("build", [deepseek_v2, deepseek_v3])
@pytest.mark.parametrize("num_ranks", [1, 4])
def test_the_cache_holds_576_numbers_of_a_token_and_layer(build, num_ranks):
    (group,) = build(ConfigReader(LITE)).cache_groups(BFLOAT16)

    assert (group.kind, len(group.layers)) == (LATENT, 27)
    assert group.block_bytes(block_size=16, num_shards=num_ranks) == 27 * 16 * 576 * 2


def test_yarn_scales_the_scores_of_latent_attention():
    mixer = deepseek_v2(ConfigReader(LITE)).layers[0].mixer

    # 0.1 * 0.707 * ln 40 + 1, squared, over the root of 192
    assert mixer.scale == pytest.approx(1.260_804**2 / 192**0.5, rel=1e-5)


def test_explain_says_how_many_numbers_a_token_takes(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(LITE))
    settings = ["--set", "select.weight_format=dummy", "--set", "plugins.probe=inline"]

    main(["explain", str(tmp_path), *settings])

    shown = capsys.readouterr().out
    bytes_of_block = f"{27 * 16 * 576 * 2:,} bytes a block of 16 tokens"
    assert f"cache group 0: latent, 27 layers of 576 numbers a token; {bytes_of_block}" in shown
