"""gpt-oss as data: attention sinks, windows in every other layer, experts with biases and a clipped activation."""

from __future__ import annotations

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_rope,
    make_spec,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import (
    Entry,
    Experts,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Rope,
    Router,
    SplitGroups,
    Transpose,
)

_BLOCK, _FORWARD = "model.layers.{i}.mlp", "layers.{i}.feed_forward"
_THETA, _ALPHA = 150_000.0, 1.702
_ROPE = {
    "rope_theta": _THETA,
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


def gpt_oss(config: ConfigReader) -> ModelSpec:
    """OpenAI 2025, gpt-oss-120b & gpt-oss-20b Model Card."""
    config = config.filled(max_position_embeddings=131_072)
    shape = read_shape(config, default_kv_heads=8, default_head_size=64)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    window = config.nullable("sliding_window", int, 128)
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer % 2 == 0)
    bias = config.get("attention_bias", bool, True)
    rope, experts = _read_rope(config, shape.head_size), _read_experts(config)
    layers = tuple(
        Layer(
            mixer=shape.attention(rope=rope, window=size, qkv_bias=bias, out_bias=bias, sinks=True),
            feed_forward=experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for size in windows
    )
    separate = config.get("separate_experts", bool, False)  # as in GGUF files
    modules = expert_modules(router="router") if separate else _modules(experts.expert.size)
    return make_spec(config, layers=layers, final_norm=norm, modules=modules)


def _read_rope(config: ConfigReader, head_size: int) -> Rope:
    if config.get("rope_parameters", dict) or config.get("rope_scaling", dict):
        return read_rope(config, head_size, default_theta=_THETA)
    theta = config.get("rope_theta", float, _THETA)
    return make_rope(config, head_size, {**_ROPE, "rope_theta": theta})


def _read_experts(config: ConfigReader) -> Experts:
    alpha = config.get("swiglu_alpha", float, _ALPHA)
    if alpha != _ALPHA:
        raise config.refuse("swiglu_alpha", alpha, str(_ALPHA))
    return Experts(
        router=Router(
            num_experts=config.get("num_local_experts", int, 128),
            top_k=config.get("num_experts_per_tok", int, 4),
            renormalise=True,
            bias=True,
        ),
        expert=FeedForward(
            size=config.require("intermediate_size", int),
            activation="gelu_sigmoid",
            bias=True,
            clip=config.get("swiglu_limit", float, 7.0),
            up_offset=1.0,
        ),
    )


def _modules(size: int) -> dict[str, ModuleSource]:
    """Gate and up alternate in the rows of one tensor of all experts, which is stored as [experts, in, out]."""
    expert, into = f"{_FORWARD}.experts.{{e}}", f"{_BLOCK}.experts.gate_up_proj"

    def turn(number: int) -> ModuleSource:
        transforms = (Entry(), Transpose(), SplitGroups(size, number, number + 1))
        return ModuleSource(into, transforms, is_weight=True)

    down = ModuleSource(f"{_BLOCK}.experts.down_proj", (Entry(), Transpose()), is_weight=True)
    return {
        **STANDARD_MODULES,
        f"{_FORWARD}.router": ModuleSource(f"{_BLOCK}.router"),
        f"{expert}.gate": turn(0),
        f"{expert}.up": turn(1),
        f"{expert}.down": down,
    }
