"""Relatives of Llama with a shared expert beside the chosen ones: Hunyuan, ERNIE 4.5 and dots.llm1 as data."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules, read_grouped_experts
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Entry, Experts, ModelSpec, ModuleSource, Router
from jackfield_llama.hunyuan import HEAD_NORMS, read_mixer
from jackfield_llama.layers import build, read_norm

_HUNYUAN = {**expert_modules(router="gate.wg", shared="shared_mlp"), **HEAD_NORMS}
_ERNIE = {
    **expert_modules(),
    # [1, experts]
    "layers.{i}.feed_forward.choice_bias": ModuleSource(
        "model.layers.{i}.mlp.moe_statics.e_score_correction_bias", (Entry(0, 1),)
    ),
}


def hunyuan_moe(config: ConfigReader) -> ModelSpec:
    """Sun et al. 2024 (Hunyuan-Large); A13B: the shared expert is as large as the others."""
    shape = read_shape(config)
    forward, numbers = read_feed_forward(config), {}
    for key in ("num_experts", "moe_topk"):
        value = config.values.get(key, 1)
        each = value if isinstance(value, list) else [value] * shape.num_layers
        if (
            len(each) != shape.num_layers
            or len({*map(repr, each)}) != 1
            or type(each[0]) is not int
        ):
            raise config.refuse(key, value, "one number, the same for all layers")
        numbers[key] = each[0]
    router = Router(num_experts=numbers["num_experts"], top_k=numbers["moe_topk"], renormalise=True)
    experts = Experts(router=router, expert=forward, shared=forward)
    mixers = (read_mixer(config, shape),) * shape.num_layers
    norm = read_norm(config, 1e-5)
    return build(config, mixers, experts, norm, modules=_HUNYUAN, end_token_id=2)


def ernie4_5_moe(config: ConfigReader) -> ModelSpec:
    """Baidu 2025: the bias for balance is added after the softmax, and the first layers are dense."""
    config = config.filled(max_position_embeddings=131_072)
    shape = read_shape(config, default_kv_heads=4)
    rope = read_rope(config, shape.head_size, default_theta=500_000.0)
    bias = config.get("use_bias", bool, False)
    mixer = shape.attention(rope=replace(rope, interleaved=True), qkv_bias=bias, out_bias=bias)
    dense = read_feed_forward(config, bias=bias)
    size = config.get("moe_intermediate_size", int, 1536)
    num_shared = config.get("moe_num_shared_experts", int, 2)
    experts = Experts(
        router=Router(
            num_experts=config.get("moe_num_experts", int, 64),
            top_k=config.get("moe_k", int, 6),
            renormalise=True,
            choice_bias=True,
        ),
        expert=replace(dense, size=size, bias=False),
        shared=replace(dense, size=num_shared * size) if num_shared else None,
    )
    first, last = (config.get(f"moe_layer_{end}_index", int, at) for end, at in _ERNIE_LAYERS)
    step = config.get("moe_layer_interval", int, 1)
    last = shape.num_layers - 1 if last == -1 else last
    forwards = tuple(
        experts if (index + 1) % step == 0 and first <= index <= last else dense
        for index in range(shape.num_layers)
    )
    mixers, norm = (mixer,) * shape.num_layers, read_norm(config, 1e-5)
    spec = build(
        config, mixers, forwards, norm,
        modules=_ERNIE, end_token_id=2, tied_head=True, head_bias=bias,
    )  # fmt: skip
    # A tied head keeps its bias.
    return replace(spec, modules={**spec.modules, "head": ModuleSource("lm_head")})


_ERNIE_LAYERS = (("start", 1), ("end", -1))


def dots1(config: ConfigReader) -> ModelSpec:
    """rednote 2025 (dots.llm1): the experts of DeepSeek-V3, and the attention of Qwen3."""
    config = config.filled(max_position_embeddings=2048)
    shape = read_shape(config, default_kv_heads=32)
    norm, bias = read_norm(config), config.get("attention_bias", bool, False)
    window = config.nullable("sliding_window", int, 4096)
    first = config.get("max_window_layers", int, 62)
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer >= first)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        q_norm=norm,
        k_norm=norm,
        qkv_bias=bias,
        out_bias=bias,
    )
    defaults = {"n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}
    experts, dense = read_grouped_experts(config, defaults), read_feed_forward(config)
    num_dense = config.get("first_k_dense_replace", int, 0)
    forwards = tuple(dense if i < num_dense else experts for i in range(shape.num_layers))
    mixers = tuple(replace(mixer, window=size) for size in windows)
    return build(config, mixers, forwards, norm, modules=expert_modules())
