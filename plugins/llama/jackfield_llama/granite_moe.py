"""GraniteMoe as data: Granite with experts, which are one tensor, as feed-forwards."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_feed_forward
from jackfield.model_spec import Entry, Experts, ModelSpec, ModuleSource, Router, Split
from jackfield_llama.granite import granite

_BLOCK, _FORWARD = "model.layers.{i}.block_sparse_moe", "layers.{i}.feed_forward"


def granite_moe(config: ConfigReader) -> ModelSpec:
    """IBM Granite Team 2024 (3.0 1B-A400M and 3B-A800M)."""
    expert = read_feed_forward(config)
    router = Router(
        num_experts=config.get("num_local_experts", int, 8),
        top_k=config.get("num_experts_per_tok", int, 2),
        renormalise=True,
    )
    experts = Experts(router=router, expert=expert)
    return _with_experts(config, experts, {})


def granite_moe_shared(config: ConfigReader) -> ModelSpec:
    """IBM Granite Team 2025: with an additional expert that every token uses."""
    plain = granite_moe(config).layers[0].feed_forward
    assert isinstance(plain, Experts)
    size = config.get("shared_intermediate_size", int, 0)
    if not size:
        return _with_experts(config, plain, {})
    shared = replace(plain, shared=replace(plain.expert, size=size))
    into, out = (f"model.layers.{{i}}.shared_mlp.{end}_linear" for end in ("input", "output"))
    modules = {
        f"{_FORWARD}.shared.gate": ModuleSource(into, (Split(0, size),)),
        f"{_FORWARD}.shared.up": ModuleSource(into, (Split(size, 2 * size),)),
        f"{_FORWARD}.shared.down": ModuleSource(out),
    }
    return _with_experts(config, shared, modules)


def _with_experts(
    config: ConfigReader, experts: Experts, modules: dict[str, ModuleSource]
) -> ModelSpec:
    spec, size = granite(config), experts.expert.size
    expert, into = f"{_FORWARD}.experts.{{e}}", f"{_BLOCK}.input_linear"
    modules = {
        **spec.modules,
        **modules,
        f"{_FORWARD}.router": ModuleSource(f"{_BLOCK}.router.layer"),
        f"{expert}.gate": ModuleSource(into, (Entry(), Split(0, size))),
        f"{expert}.up": ModuleSource(into, (Entry(), Split(size, 2 * size))),
        f"{expert}.down": ModuleSource(f"{_BLOCK}.output_linear", (Entry(),)),
    }
    layers = tuple(replace(layer, feed_forward=experts) for layer in spec.layers)
    return replace(spec, layers=layers, modules=modules)
