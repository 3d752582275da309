"""Reading mixtures of experts: what the configs of several families share, and where their checkpoints keep experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import STANDARD_MODULES, read_activation
from jackfield.model_spec import Experts, FeedForward, ModuleSource, Router

_FORWARD = "layers.{i}.feed_forward"


def expert_modules(
    *,
    block: str = "mlp",
    router: str = "gate",
    choice_bias: str = "gate.e_score_correction_bias",
    shared: str = "shared_experts",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
) -> dict[str, ModuleSource]:
    """STANDARD_MODULES, and experts that are stored one by one in `block` of a layer, under their most common names."""
    here = f"model.layers.{{i}}.{block}"
    parts = {"gate": gate, "up": up, "down": down}
    experts = {
        f"{_FORWARD}.experts.{{e}}.{name}": ModuleSource(f"{here}.experts.{{e}}.{stored}")
        for name, stored in parts.items()
    }
    always = {
        f"{_FORWARD}.shared.{name}": ModuleSource(f"{here}.{shared}.{stored}")
        for name, stored in parts.items()
    }
    return {
        **STANDARD_MODULES,
        **experts,
        **always,
        f"{_FORWARD}.router": ModuleSource(f"{here}.{router}"),
        f"{_FORWARD}.choice_bias": ModuleSource(f"{here}.{choice_bias}"),
    }


def read_grouped_experts(config: ConfigReader, defaults: Mapping[str, Any]) -> Experts:
    """Experts as in DeepSeek-V3: sigmoid scores, groups, a bias for balance, and shared experts. Others use the same
    keys.

    `defaults` are the values of keys that the config leaves out. DeepSeek-AI 2024 (V3), section 2.1.2.
    """
    config = config.filled(**defaults)
    size = config.require("moe_intermediate_size", int)
    activation = read_activation(config)
    num_shared = config.get("n_shared_experts", int, 0)
    shared = FeedForward(size=num_shared * size, activation=activation) if num_shared else None
    router = Router(
        num_experts=config.require("n_routed_experts", int),
        top_k=config.require("num_experts_per_tok", int),
        scoring="sigmoid",
        renormalise=config.get("norm_topk_prob", bool, False),
        choice_bias=True,
        scale=config.require("routed_scaling_factor", float),
        num_groups=config.require("n_group", int),
        top_groups=config.require("topk_group", int),
        group_score="top2",
    )
    return Experts(
        router=router, expert=FeedForward(size=size, activation=activation), shared=shared
    )
