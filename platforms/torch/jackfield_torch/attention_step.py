"""Attention in one step: what the decoder sees of it, and the paged cache behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.paged_cache import GroupCache, LayerStore, Places


class AttentionStep(Protocol):
    """One step's access to the cache and the attention of every layer. Valid until the step ends."""

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """Write this step's keys and values into the cache of `layer`, then attend; returns o_TNH in q's dtype.

        T tokens of the step, N query heads and K kv heads of this rank, H head size. Rotated already. k and v are
        None if the layer reads the cache of an earlier one (`Layer.cache_of_layer`). The last axis must be
        contiguous; the others may be views into a fused projection.
        """

    def paged(self, layer: int) -> tuple[LayerCache, Tensor] | None:
        """The cache of `layer` and the slot of each token (int64), for a kernel that writes keys and values itself.

        `attend` is then called without them. None: this cache is not paged.
        """


@dataclass(frozen=True, slots=True)
class BoundAttention:
    """A backend's attention and the layers that it serves."""

    attention: GroupAttention
    cache_group: int
    layers: tuple[int, ...]
    capture: str  # what a graph may record of it, as its card says
    needs_host_lengths: bool  # exact lengths on the host, as its card says


@dataclass(frozen=True, slots=True)
class _BoundLayer:
    group: int
    store: LayerStore
    attention: GroupAttention
    facts: LayerAttention


class PagedAttention:
    """The AttentionStep of an engine: bound once, then told of each step's batch."""

    def __init__(
        self,
        spec: ModelSpec,
        caches: Sequence[GroupCache],
        attentions: Sequence[BoundAttention],  # together they serve every layer that attends once
        sinks: Mapping[int, Tensor],  # of the layers that have them
    ) -> None:
        self._attentions = attentions
        self._caches = caches
        self._slots: list[Tensor] = []
        self._places: list[Places | None] = []
        of_layer = {layer: bound for bound in attentions for layer in bound.layers}
        self._layers = {
            layer: _bind(spec, layer, caches, bound, sinks) for layer, bound in of_layer.items()
        }

    def begin(self, batches: Sequence[AttentionBatch]) -> None:
        """Prepare for a step, outside of any graph; there is a batch for each cache group."""
        self._slots = [batch.slots_T for batch in batches]
        self.start_pass()
        for bound in self._attentions:
            bound.attention.prepare(batches[bound.cache_group])

    def start_pass(self) -> None:
        """Forget what a forward pass derives for its layers.

        A graph is recorded after passes that only warm up: it must record how places follow from slots, not find them
        done.
        """
        self._places = [None] * len(self._slots)

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """As AttentionStep says."""
        bound = self._layers[layer]
        if k_TKH is not None and v_TKH is not None:
            bound.store.write(k_TKH, v_TKH, self._places_of(bound.group))
        return bound.attention.attend(q_TNH, bound.store.views, bound.facts)

    def paged(self, layer: int) -> tuple[LayerCache, Tensor] | None:
        """As AttentionStep says."""
        bound = self._layers[layer]
        return bound.store.views, self._slots[bound.group]

    @property
    def can_capture(self) -> bool:
        """True if a graph may record `attend` for steps in which every row has one query."""
        return all(bound.capture != "none" for bound in self._attentions)

    @property
    def needs_host_lengths(self) -> bool:
        """True where a step cannot be prepared before the host knows how many tokens its rows hold."""
        return any(bound.needs_host_lengths for bound in self._attentions)

    def close(self) -> None:
        """Free the backends' buffers."""
        for bound in self._attentions:
            bound.attention.close()

    def _places_of(self, group: int) -> Places:
        """Computed when the first layer writes, so that a graph which records the step records this too."""
        places = self._places[group]
        if places is None:
            places = self._places[group] = self._caches[group].places(self._slots[group])
        return places


def _bind(
    spec: ModelSpec,
    layer: int,
    caches: Sequence[GroupCache],
    bound: BoundAttention,
    sinks: Mapping[int, Tensor],
) -> _BoundLayer:
    source = spec.layers[layer].cache_of_layer
    owner = layer if source is None else source
    mixer = spec.layers[layer].mixer.attention
    assert mixer is not None, "a backend is bound to layers that attend"
    facts = LayerAttention(
        scale=mixer.scale,
        window=mixer.window,
        soft_cap=mixer.soft_cap,
        sinks_N=sinks[layer] if mixer.sinks else None,
        causal=mixer.causal,
    )
    store = caches[bound.cache_group].layers[owner]
    return _BoundLayer(bound.cache_group, store, bound.attention, facts)
