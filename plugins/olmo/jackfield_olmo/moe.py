"""OLMoE and FlexOlmo as data: experts instead of each feed-forward."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Experts, Layer, ModelSpec, Router
from jackfield_olmo.model import mixer_facts, olmo2, read_norm


def olmoe(config: ConfigReader) -> ModelSpec:
    """Muennighoff et al. 2024: norms before each half, and over all heads of q and all heads of k together."""
    if clip := config.get("clip_qkv", float):
        raise config.refuse("clip_qkv", clip, "null: it would clip behind the norms of heads")
    shape, norm = read_shape(config), read_norm(config)
    layer = Layer(
        mixer=shape.attention(rope=read_rope(config, shape.head_size), **mixer_facts(config)),
        feed_forward=_experts(config, num_experts=64, top_k=8),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=expert_modules(),
        end_token_id=50279,
    )


def flex_olmo(config: ConfigReader) -> ModelSpec:
    """Shi et al. 2025: OLMo 2 with experts that were trained separately."""
    config = config.filled(rms_norm_eps=1e-6, eos_token_id=100_257, rope_theta=500_000.0)
    spec = olmo2(config)
    experts = _experts(config, num_experts=7, top_k=5)
    return replace(
        spec,
        layers=tuple(replace(layer, feed_forward=experts) for layer in spec.layers),
        modules={**expert_modules(), **spec.modules},
    )


def _experts(config: ConfigReader, *, num_experts: int, top_k: int) -> Experts:
    router = Router(
        num_experts=config.get("num_experts", int, num_experts),
        top_k=config.get("num_experts_per_tok", int, top_k),
        renormalise=config.get("norm_topk_prob", bool, False),
    )
    return Experts(router=router, expert=read_feed_forward(config))
