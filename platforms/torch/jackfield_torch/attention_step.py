"""Attention in one step: what the decoder sees of it, and the paged cache behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.attention import Attention, AttentionBatch, LayerAttention
from jackfield_torch.paged_cache import GroupCache, LayerStore, Places


class AttentionStep(Protocol):
    """One step's access to the cache and the attention of every layer. Valid until the step ends."""

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """Write this step's keys and values into the cache of `layer`, then attend; returns o_TNH in q's dtype.

        T tokens of the step, N query heads and K kv heads of this rank, H head size. Rotated already. k and v are
        None where the layer reads the cache of an earlier one (`Layer.cache_of_layer`). The last axis must be
        contiguous; the others may be views into a fused projection.
        """


@dataclass(frozen=True, slots=True)
class BoundAttention:
    """A backend's attention and the layers that it serves."""

    attention: Attention
    cache_group: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    group: int
    store: LayerStore
    attention: Attention
    facts: LayerAttention


class PagedAttention:
    """The AttentionStep of an engine: bound once, then told of each step's batch."""

    def __init__(
        self,
        spec: ModelSpec,
        caches: Sequence[GroupCache],
        attentions: Sequence[BoundAttention],  # together they serve every layer once
        sinks: Mapping[int, Tensor],  # of the layers that have them
    ) -> None:
        self._attentions = attentions
        self._caches = caches
        self._places: list[Places] = []
        of_layer = {layer: bound for bound in attentions for layer in bound.layers}
        self._layers = tuple(
            _bind(spec, layer, caches, of_layer[layer], sinks) for layer in range(len(spec.layers))
        )

    def begin(self, batches: Sequence[AttentionBatch]) -> None:
        """Prepare for a step; there is a batch for each cache group."""
        self._places = [
            cache.places(batch.slots_T) for cache, batch in zip(self._caches, batches, strict=True)
        ]
        for bound in self._attentions:
            bound.attention.prepare(batches[bound.cache_group])

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """As AttentionStep says."""
        bound = self._layers[layer]
        if k_TKH is not None and v_TKH is not None:
            bound.store.write(k_TKH, v_TKH, self._places[bound.group])
        return bound.attention.attend(q_TNH, bound.store.views, bound.facts)

    def close(self) -> None:
        """Free the backends' buffers."""
        for bound in self._attentions:
            bound.attention.close()


def _bind(
    spec: ModelSpec,
    layer: int,
    caches: Sequence[GroupCache],
    bound: BoundAttention,
    sinks: Mapping[int, Tensor],
) -> _Layer:
    source = spec.layers[layer].cache_of_layer
    owner = layer if source is None else source
    mixer = spec.layers[layer].mixer
    facts = LayerAttention(
        scale=mixer.scale,
        window=mixer.window,
        soft_cap=mixer.soft_cap,
        sinks_N=sinks[layer] if mixer.sinks else None,
        causal=mixer.causal,
    )
    store = caches[bound.cache_group].layers[owner]
    return _Layer(bound.cache_group, store, bound.attention, facts)
