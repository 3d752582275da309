"""Tiny mixtures of experts and recurrent models, written as GGUF the way llama.cpp's converters do it.

An implementation apart from ours. Names are the library's; each function gives tensors under the names that a converter
hands to it.
"""

import re

import gguf
import torch

ROPE = {"rope_type": "default", "rope_theta": 5000.0}
YARN = {
    "rope_type": "yarn", "rope_theta": 5000.0, "factor": 4.0, "original_max_position_embeddings": 16,
    "beta_fast": 8.0, "beta_slow": 1.0,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 96}
LATENT = {
    "num_hidden_layers": 3, "num_key_value_heads": 4, "kv_lora_rank": 24, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8,
    "head_dim": 8, "v_head_dim": 20, "pad_token_id": 0, "moe_intermediate_size": 48, "num_experts_per_tok": 3,
    "n_routed_experts": 8, "n_shared_experts": 2, "first_k_dense_replace": 1, "routed_scaling_factor": 1.7,
    "rope_parameters": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
}  # fmt: skip
STATES = {
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 2, "mamba_d_state": 12, "mamba_d_conv": 4,
    "mamba_chunk_size": 8, "pad_token_id": 0,
}  # fmt: skip
GRANITE = {
    **STATES, "num_hidden_layers": 3, "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "shared_intermediate_size": 48, "embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.5,
    "attention_multiplier": 0.3,
}  # fmt: skip
LLAMA4 = {
    "num_hidden_layers": 4, "intermediate_size_mlp": 72, "num_local_experts": 4, "num_experts_per_tok": 2,
    "interleave_moe_layer_step": 2, "pad_token_id": 0,
}  # fmt: skip
# No range between long and short waves.
LLAMA4_ROPE = {
    "rope_type": "llama3", "rope_theta": 5000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
    "original_max_position_embeddings": 40,
}  # fmt: skip
CASES = {
    "llama4": ("Llama4ForCausalLM", {**LLAMA4, "rope_parameters": LLAMA4_ROPE}),
    "llama4 maverick": (
        "Llama4ForCausalLM",
        {**LLAMA4, "num_local_experts": 128, "use_qk_norm": False, "intermediate_size": 24, "rope_parameters": ROPE},
    ),
    "qwen3moe": ("Qwen3MoeForCausalLM", {**EXPERTS, "norm_topk_prob": True, "rope_parameters": ROPE}),
    "qwen2moe": (
        "Qwen2MoeForCausalLM",
        {**EXPERTS, "shared_expert_intermediate_size": 20, "rope_parameters": ROPE},
    ),
    "llama": (
        "MixtralForCausalLM",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16, "rope_parameters": ROPE},
    ),
    "olmoe": (
        "OlmoeForCausalLM",
        {"num_experts": 4, "num_experts_per_tok": 2, "rope_parameters": ROPE},
    ),
    "gpt-oss": (
        "GptOssForCausalLM",
        {
            "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 7, "intermediate_size": 96,
            "rope_parameters": {**YARN, "truncate": False},
        },
    ),
    "deepseek2": ("DeepseekV2ForCausalLM", {**LATENT, "q_lora_rank": None}),
    "deepseek2 v3": (
        "DeepseekV3ForCausalLM",
        {**LATENT, "q_lora_rank": 28, "n_group": 4, "topk_group": 2},
    ),
    "mamba2": (
        "Mamba2ForCausalLM",
        {
            "num_heads": 8, "head_dim": 16, "expand": 2, "state_size": 12, "n_groups": 2, "chunk_size": 8,
            "pad_token_id": 0,
        },
    ),
    "falcon-h1": (
        "FalconH1ForCausalLM",
        {
            **STATES, "mamba_d_ssm": 128, "mamba_rms_norm": True, "mamba_norm_before_gate": False,
            "ssm_multipliers": [0.7, 1.1, 0.8, 1.3, 0.9], "mlp_multipliers": [0.8, 1.2], "key_multiplier": 0.6,
            "attention_in_multiplier": 1.1, "attention_out_multiplier": 0.9, "ssm_in_multiplier": 1.2,
            "ssm_out_multiplier": 0.8, "embedding_multiplier": 1.5, "lm_head_multiplier": 0.7,
        },
    ),
    "granitehybrid": (
        "BambaForCausalLM",
        {**STATES, "num_hidden_layers": 3, "attn_layer_indices": [1], "mamba_expand": 2},
    ),
    "granitehybrid experts": ("GraniteMoeHybridForCausalLM", {**GRANITE, "num_local_experts": 4}),
    "granitehybrid dense": (
        "GraniteMoeHybridForCausalLM",
        {**GRANITE, "num_local_experts": 0, "shared_intermediate_size": 80},
    ),
    "qwen3next": (
        "Qwen3NextForCausalLM",
        {
            "layer_types": ["linear_attention", "full_attention"], "head_dim": 32, "linear_num_key_heads": 2,
            "linear_num_value_heads": 4, "linear_key_head_dim": 12, "linear_value_head_dim": 20,
            "linear_conv_kernel_dim": 4, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
            "shared_expert_intermediate_size": 48, "rope_parameters": {**ROPE, "partial_rotary_factor": 0.25},
        },
    ),
}  # fmt: skip


def write_model(path, architecture, model, kind="F32"):
    """A KnownModel as a file; experts in blocks of `kind`."""
    config, kind = model.config, gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, architecture)
    METADATA[architecture](writer, config)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(5)
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(number, config["num_hidden_layers"])
    for name, tensor in CONVERT[architecture](model.tensors, config):
        stored = names.get_name(name, (".weight", ".bias"))
        assert stored, name
        array = tensor.float().contiguous().numpy()
        is_packed = "_exps.weight" in stored and kind != gguf.GGMLQuantizationType.F32
        if is_packed:
            writer.add_tensor(stored, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(stored, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def stacked(tensors, config):
    """Experts under one name."""
    found = {}
    for name in tensors:
        found.setdefault(re.sub(r"experts\.\d+", "experts", name), []).append(name)
    for name, each in found.items():
        each.sort(key=lambda stored: [int(n) for n in re.findall(r"\d+", stored)])
        whole = torch.stack([tensors[stored] for stored in each])
        yield name, whole if ".experts." in name else whole[0]


def mixtral(tensors, config):
    for name, tensor in stacked(tensors, config):
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        for module, key in heads.items():
            if module in name:
                tensor = paired(tensor, config[key])
        yield name.replace("model.layers", "layers").replace("block_sparse_moe.experts", "feed_forward.experts") if ".experts." in name else name, tensor  # fmt: skip


def paired(tensor, heads):
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def llama4(tensors, config):
    for name, tensor in tensors.items():
        if name.endswith("gate_up_proj"):
            for part, half in zip(("gate", "up"), tensor.transpose(1, 2).chunk(2, 1), strict=True):
                yield name.replace("gate_up_proj", f"{part}_proj.weight"), half
        elif name.endswith("down_proj"):
            yield f"{name}.weight", tensor.transpose(1, 2)
        else:
            yield name, tensor
    rope = config["rope_parameters"]
    if rope["rope_type"] == "llama3":
        waves = (
            2
            * torch.pi
            * rope["rope_theta"] ** (torch.arange(0, config["head_dim"], 2) / config["head_dim"])
        )
        is_long = waves > rope["original_max_position_embeddings"]
        yield "rope_freqs.weight", torch.where(is_long, rope["factor"], 1.0)


def gpt_oss(tensors, config):
    for name, tensor in tensors.items():
        name = f"{name}.weight" if "sinks" in name else name
        if "down_proj" in name:
            is_bias = name.endswith("_bias")
            name = name.replace("down_proj_bias", "down_proj.bias") if is_bias else f"{name}.weight"
            yield name, tensor if is_bias else tensor.transpose(1, 2)
        elif "gate_up_proj" in name:
            is_bias = name.endswith("_bias")
            whole = tensor.unsqueeze(1) if is_bias else tensor
            for number, part in enumerate(("gate", "up")):
                one = whole[:, :, number::2].transpose(1, 2)
                new = name.removesuffix("_bias").replace("gate_up", part)
                yield f"{new}.{'bias' if is_bias else 'weight'}", one[..., 0] if is_bias else one
        else:
            yield name, tensor


def deepseek(tensors, config):
    key, value = config["qk_nope_head_dim"], config["v_head_dim"]
    for name, tensor in stacked(tensors, config):
        if "kv_b_proj" not in name:
            yield name.replace("e_score_correction_bias", "e_score_correction.bias"), tensor
            continue
        heads = tensor.view(config["num_attention_heads"], key + value, -1)
        yield name.replace("kv_b_proj", "k_b_proj"), heads[:, :key].transpose(1, 2)
        yield name.replace("kv_b_proj", "v_b_proj"), heads[:, key:]


def state_space(tensors, config):
    groups = config.get("n_groups") or config["mamba_n_groups"]
    for name, tensor in tensors.items():
        if name.endswith("conv1d.weight"):
            tensor = tensor.squeeze(1)
        if name.endswith("A_log"):
            tensor = -tensor.exp()
        if name.endswith(("A_log", ".D")):
            tensor = tensor.unsqueeze(1)
        if name.endswith(("mixer.norm.weight", "mamba.norm.weight")):
            tensor = tensor.reshape(groups, -1)
        yield name.replace(".dt_bias", ".dt_proj.bias"), tensor


def falcon_h1(tensors, config):
    gate, down = config["mlp_multipliers"]
    attention = config["attention_in_multiplier"]
    factors = {
        "gate_proj": gate, "down_proj": down, "k_proj": attention * config["key_multiplier"], "q_proj": attention,
        "v_proj": attention, "o_proj": config["attention_out_multiplier"], "out_proj": config["ssm_out_multiplier"],
        "lm_head": config["lm_head_multiplier"], "embed_tokens": config["embedding_multiplier"],
    }  # fmt: skip
    states = config["mamba_n_groups"] * config["mamba_d_state"]
    sizes = [config["mamba_d_ssm"]] * 2 + [states] * 2 + [config["mamba_n_heads"]]
    rows = torch.cat([torch.full((size, 1), factor) for size, factor in zip(sizes, config["ssm_multipliers"], strict=True)])  # fmt: skip
    for name, tensor in state_space(tensors, config):
        module = name.split(".")[-2]
        if module == "in_proj":
            tensor = tensor * rows * config["ssm_in_multiplier"]
        yield name, tensor * factors.get(module, 1.0)


def granite_hybrid(tensors, config):
    for name, tensor in merged(state_space(tensors, config), config):
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        for module, key in heads.items():
            if module in name:
                tensor = paired(tensor, config[key])
        yield name, tensor


def merged(tensors, config):
    """Gate and up of Granite's experts, and of its shared one, taken apart."""
    for name, tensor in tensors:
        if not name.endswith("input_linear.weight"):
            is_dense = "shared_mlp.output" in name and not config["num_local_experts"]
            yield (
                name.replace("shared_mlp.output_linear", "mlp.down_proj") if is_dense else name,
                tensor,
            )
            continue
        for part, half in zip(("gate", "up"), tensor.chunk(2, -2), strict=True):
            if "block_sparse_moe" in name:
                new = name.replace("block_sparse_moe.input_linear", f"block_sparse_moe.experts.w{1 if part == 'gate' else 3}")  # fmt: skip
            elif config["num_local_experts"]:
                new = name.replace("shared_mlp.input_linear", f"mlp.shared_experts.{part}_proj")
            else:
                new = name.replace("shared_mlp.input_linear", f"mlp.{part}_proj")
            yield new, half


def qwen3_next(tensors, config):
    heads, each = config["linear_num_key_heads"], config["linear_num_value_heads"]
    key, value = config["linear_key_head_dim"], config["linear_value_head_dim"]
    sizes = [key, key, each // heads * value, each // heads * value]
    for name, tensor in stacked(tensors, config):
        if name.endswith("in_proj_qkvz.weight"):
            parts = tensor.view(heads, sum(sizes), -1).split(sizes, 1)
            q, k, v, z = (part.reshape(-1, tensor.shape[1]) for part in parts)
            yield (
                name.replace("linear_attn.in_proj_qkvz", "self_attn.qkv_proj"),
                torch.cat([q, k, v]),
            )
            yield name.replace("linear_attn.in_proj_qkvz", "linear_attn.in_proj_z"), z
            continue
        if name.endswith("A_log"):
            tensor = -tensor.exp()
        if name.endswith("conv1d.weight"):
            tensor = tensor.squeeze(1)
        if name.endswith("norm.weight") and not name.endswith("linear_attn.norm.weight"):
            tensor = tensor + 1
        yield name.replace(".dt_bias", ".dt_proj.bias"), tensor


def add_decoder(writer, config):
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    rope = config["rope_parameters"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def add_experts(writer, config):
    add_decoder(writer, config)
    count = next(config[key] for key in ("num_local_experts", "num_experts", "n_routed_experts") if key in config)  # fmt: skip
    writer.add_expert_count(count)
    writer.add_expert_used_count(config["num_experts_per_tok"])
    if size := config.get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(size)
    if size := config.get("shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(size)


def add_mixtral(writer, config):
    add_experts(writer, config)
    writer.add_rope_dimension_count(config["head_dim"])


def add_gpt_oss(writer, config):
    add_experts(writer, config)
    writer.add_sliding_window(config["sliding_window"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])


def add_llama4(writer, config):
    add_decoder(writer, {**config, "intermediate_size": config["intermediate_size_mlp"]})
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_interleave_moe_layer_step(config["interleave_moe_layer_step"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])


def add_deepseek(writer, config):
    latent, rotary = config["kv_lora_rank"], config["qk_rope_head_dim"]
    add_experts(writer, {**config, "num_key_value_heads": 1, "head_dim": None})
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    if config["q_lora_rank"]:
        writer.add_q_lora_rank(config["q_lora_rank"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_group_count(config["n_group"])
        writer.add_expert_group_used_count(config["topk_group"])
        writer.add_expert_weights_norm(config["norm_topk_prob"])
    writer.add_kv_lora_rank(latent)
    writer.add_key_length(latent + rotary)
    writer.add_value_length(latent)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + rotary)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    writer.add_rope_dimension_count(rotary)
    writer.add_rope_scaling_yarn_log_mul(0.1 * config["rope_parameters"]["mscale_all_dim"])


def add_states(writer, size, state, heads, groups, kernel):
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(size)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_group_count(groups)


def add_mamba2(writer, config):
    writer.add_context_length(2**20)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_layer_norm_rms_eps(config["layer_norm_epsilon"])
    size = 2 * config["hidden_size"]
    heads, groups = config["num_heads"], config["n_groups"]
    add_states(writer, size, config["state_size"], heads, groups, config["conv_kernel"])


def add_hybrid(writer, config, size):
    heads, groups = config["mamba_n_heads"], config["mamba_n_groups"]
    add_states(writer, size, config["mamba_d_state"], heads, groups, config["mamba_d_conv"])


def add_falcon_h1(writer, config):
    add_decoder(writer, config)
    add_hybrid(writer, config, config["mamba_d_ssm"])


def add_qwen3_next(writer, config):
    add_experts(writer, config)
    heads, size = config["linear_num_value_heads"], config["linear_value_head_dim"]
    add_states(
        writer, heads * size, config["linear_key_head_dim"], heads, config["linear_num_key_heads"],
        config["linear_conv_kernel_dim"],
    )  # fmt: skip
    writer.add_full_attention_interval(2)
    writer.add_rope_dimension_count(int(config["head_dim"] * 0.25))


def add_granite_hybrid(writer, config):
    if "layer_types" in config:
        add_granite(writer, config)
        return
    layers = range(config["num_hidden_layers"])
    attending = config["attn_layer_indices"]
    each = [config["num_key_value_heads"] if layer in attending else 0 for layer in layers]
    add_decoder(writer, {**config, "num_key_value_heads": each, "head_dim": None})
    add_hybrid(writer, config, config["mamba_expand"] * config["hidden_size"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"] // 2)
    writer.add_rope_scaling_finetuned(True)


def add_granite(writer, config):
    layers = enumerate(config["layer_types"])
    each = [config["num_key_value_heads"] if kind == "full_attention" else 0 for _, kind in layers]
    has_experts = config["num_local_experts"] > 0
    add = add_experts if has_experts else add_decoder
    add(writer, {**config, "num_key_value_heads": each, "head_dim": None})
    writer.add_expert_shared_feed_forward_length(config["shared_intermediate_size"])
    add_hybrid(writer, config, config["mamba_expand"] * config["hidden_size"])
    writer.add_attention_scale(config["attention_multiplier"])
    writer.add_embedding_scale(config["embedding_multiplier"])
    writer.add_residual_scale(config["residual_multiplier"])
    writer.add_logit_scale(config["logits_scaling"])
    writer.add_rope_scaling_finetuned(False)


CONVERT = {
    "qwen3moe": stacked,
    "qwen2moe": stacked,
    "llama": mixtral,
    "llama4": llama4,
    "olmoe": stacked,
    "gpt-oss": gpt_oss,
    "deepseek2": deepseek,
    "mamba2": state_space,
    "falcon-h1": falcon_h1,
    "granitehybrid": granite_hybrid,
    "qwen3next": qwen3_next,
}
METADATA = {
    "qwen3moe": add_experts,
    "qwen2moe": add_experts,
    "llama": add_mixtral,
    "llama4": add_llama4,
    "olmoe": add_experts,
    "gpt-oss": add_gpt_oss,
    "deepseek2": add_deepseek,
    "mamba2": add_mamba2,
    "falcon-h1": add_falcon_h1,
    "granitehybrid": add_granite_hybrid,
    "qwen3next": add_qwen3_next,
}
