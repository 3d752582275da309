"""Tiny random models of Transformers, written as GGUF the way converters do: an implementation apart from ours."""

import gguf
import torch
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
)

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
QWEN3_HEAD, GPT2_LENGTH = 128, 1024  # the defaults: Transformers' GGUF reader does not read these
ROPE = {"rope_type": "default", "rope_theta": 5000.0}
LOCAL = {"full_attention": ROPE, "sliding_attention": {**ROPE, "rope_theta": 10_000.0}}
CONFIGS = {
    "llama": LlamaConfig(**SHAPE, rope_parameters=ROPE, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**{**SHAPE, "head_dim": 8}, rope_parameters=ROPE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**{**SHAPE, "head_dim": QWEN3_HEAD}, rope_parameters=ROPE, tie_word_embeddings=False),
    "gemma": GemmaConfig(**SHAPE, rope_parameters=ROPE),
    "gemma2": Gemma2Config(
        **SHAPE, rope_parameters=ROPE, sliding_window=8, query_pre_attn_scalar=16
    ),
    "gemma3": Gemma3TextConfig(
        **{**SHAPE, "num_hidden_layers": 7},
        rope_parameters=LOCAL,
        sliding_window=8,
        query_pre_attn_scalar=16,
    ),
    "gpt2": GPT2Config(
        vocab_size=40, n_embd=32, n_layer=2, n_head=4, n_inner=128, n_positions=GPT2_LENGTH, eos_token_id=2,
        bos_token_id=1,
    ),
}  # fmt: skip


def make_model(architecture):
    """A model whose every parameter differs from what it is initialised with, norms and biases too."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[architecture])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


def write_gguf(path, architecture, model, dtype=torch.float32, packed=None):
    """What convert_hf_to_gguf does to a checkpoint of this architecture; matrices in blocks of the type `packed`."""
    writer = gguf.GGUFWriter(path, architecture)
    if architecture == "gpt2":
        add_gpt2_metadata(writer, model.config)
    else:
        add_metadata(writer, model.config, architecture)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_token_list([f"t{i}" for i in range(40)])
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(number, len(list(model.base_model.parameters())))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        stored = bake(architecture, name, tensor, model.config).to(dtype).contiguous()
        is_bfloat16 = dtype == torch.bfloat16
        array = (stored.view(torch.uint8) if is_bfloat16 else stored).numpy()
        kind = gguf.GGMLQuantizationType.BF16 if is_bfloat16 else None
        if packed is not None and stored.ndim == 2:
            array, kind = gguf.quants.quantize(array, packed), packed
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def bake(architecture, name, tensor, config):
    """What the format does to one tensor."""
    if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)
    if architecture.startswith("gemma") and name.endswith("norm.weight"):
        return tensor + 1
    transposed = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return tensor.T if architecture == "gpt2" and name.endswith(transposed) else tensor


def add_metadata(writer, config, architecture):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(getattr(config, "head_dim", None) or 8)
    writer.add_value_length(getattr(config, "head_dim", None) or 8)
    if architecture == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(ROPE["rope_theta"])
    if architecture in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def add_gpt2_metadata(writer, config):
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(config.n_inner)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
