"""Layers with the same need of attention that no rule of the user tells apart: the subjects of attention. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.cache import NONE, CacheGroup, group_of_layer
from jackfield.config import EngineConfig, Scalar
from jackfield.model_spec import LatentAttention, ModelSpec
from jackfield_torch import settings
from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_torch.rule_facts import NamedFacts, layers_in_words, shared_facts

SETTING = "attention"  # select.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionGroup:
    """Layers of one cache group that share one selection."""

    subject: str  # "layers 0-4, 6"
    layers: tuple[int, ...]  # including layers that use an earlier layer's cache
    cache_group: CacheGroup
    need: AttentionNeed
    match: Mapping[str, Scalar]  # for rules; None: differs within the group

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the layers in selections: "layers.0"."""
        return tuple(f"layers.{layer}" for layer in self.layers)


def attention_groups(
    spec: ModelSpec, config: EngineConfig, device: str
) -> tuple[AttentionGroup, ...]:
    """All layers of a model that attend, in as few groups as cache, needs and rules allow, in the order of cache groups."""
    cache_groups = spec.cache_groups(settings.cache_dtype(config, spec))
    named = NamedFacts(config, SETTING)
    found: dict[tuple[object, ...], list[int]] = {}
    for layer, one in enumerate(spec.layers):
        if one.mixer.attention is None:
            continue
        cache_group = _cache_group(spec, cache_groups, layer)
        need = _need(spec, config, device, cache_group, layer)
        key = (cache_group.index, need, named.of(_facts(cache_group, need, layer)))
        found.setdefault(key, []).append(layer)
    groups = (
        _group(spec, config, device, cache_groups, tuple(layers)) for layers in found.values()
    )
    return tuple(sorted(groups, key=lambda group: (group.cache_group.index, group.layers)))


def _group(
    spec: ModelSpec,
    config: EngineConfig,
    device: str,
    cache_groups: tuple[CacheGroup, ...],
    layers: tuple[int, ...],
) -> AttentionGroup:
    cache_group = _cache_group(spec, cache_groups, layers[0])
    need = _need(spec, config, device, cache_group, layers[0])
    return AttentionGroup(
        subject=layers_in_words(layers),
        layers=layers,
        cache_group=cache_group,
        need=need,
        match=shared_facts(_facts(cache_group, need, layer) for layer in layers),
    )


def _cache_group(spec: ModelSpec, cache_groups: tuple[CacheGroup, ...], layer: int) -> CacheGroup:
    source = spec.layers[layer].cache_of_layer
    return group_of_layer(cache_groups, layer if source is None else source)


def _need(
    spec: ModelSpec, config: EngineConfig, device: str, cache_group: CacheGroup, layer: int
) -> AttentionNeed:
    mixer, num_ranks = spec.layers[layer].mixer.attention, config.executor.tensor_parallel
    assert mixer is not None, "groups are of layers that attend"
    return AttentionNeed(
        device=device,
        dtype=settings.model_dtype(config, spec).name,
        cache_dtype=cache_group.dtype.name,
        num_heads=settings.heads_of_rank(mixer.num_heads, num_ranks),
        num_kv_heads=settings.heads_of_rank(cache_group.num_kv_heads, num_ranks),
        head_size=cache_group.head_size,
        block_size=config.cache.block_size,
        window=mixer.window is not None,
        chunked=mixer.chunk_size is not None,
        soft_cap=mixer.soft_cap is not None,
        relative_bias=mixer.relative_bias is not None,
        sinks=mixer.sinks,
        non_causal=not mixer.causal and cache_group.kind != NONE,
        cacheless=cache_group.kind == NONE,
        latent=_latent_size(spec, layer),
    )


def _latent_size(spec: ModelSpec, layer: int) -> int | None:
    mixer = spec.layers[layer].mixer
    return mixer.latent_size if isinstance(mixer, LatentAttention) else None


def _facts(cache_group: CacheGroup, need: AttentionNeed, layer: int) -> dict[str, Scalar]:
    """The facts on which rules can match."""
    return {
        "group": cache_group.index,
        "layer": layer,
        "window": need.window,
        "chunked": need.chunked,
        "soft_cap": need.soft_cap,
        "sinks": need.sinks,
        "head_size": need.head_size,
    }
