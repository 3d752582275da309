"""Attention in one step: what the decoder sees of it, and the paged cache behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from jackfield.model_spec import LatentAttention, ModelSpec
from jackfield_torch.chip import converts_float8
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.paged_cache import CacheScales, GroupCache, LayerStore, Places
from jackfield_torch.rows import Ints
from jackfield_torch.staging import upload
from jackfield_torch.states import LayerStates, StateCache, StepStates, step_states

# Pairs of a query and a token, of queries above `most_absorbed`, that a recorded step may absorb. On an H200 they take
# about 0.1 ms a layer with 16 heads, as long as it takes to launch what makes keys and values.
_MOST_PAIRS = 1 << 19


class AttentionStep(Protocol):
    """One step's access to the cache and the attention of every layer. Valid until the step ends."""

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """Write this step's keys and values into the cache of `layer`, then attend; returns o_TNH in q's dtype.

        T tokens of the step, N query heads and K kv heads of this rank, H head size. Queries and keys are rotated
        already. k and v are None if the layer reads the cache of an earlier layer (`Layer.cache_of_layer`). Only v is
        None in a latent cache, where the value of a token is a part of its key; o_TNH then has the size of that part.
        The last axis must be contiguous; the other axes may be those of a view into a fused projection.
        """

    def paged(self, layer: int) -> tuple[LayerCache, Tensor] | None:
        """The cache of `layer` and the slot of each token (int64), for a kernel that writes keys and values itself.

        `attend` is then called without keys and values. None: such a kernel cannot write to this cache.
        """

    def write(self, layer: int, k_TKH: Tensor, v_TKH: Tensor | None) -> None:
        """Write this step's keys and values. Then the caller attends for the rows that `long_rows` names."""

    def long_rows(self, layer: int) -> LongRows | None:
        """The rows with so many queries that keys and values are better made of their latent vectors.

        None: there are none, or a graph records the step; `attend` serves all tokens. Otherwise it serves the tokens
        of the other rows alone.
        """

    def keys(self, layer: int, span: RowSpan) -> Tensor:
        """key_LKH of all tokens of a row, including those of this step, in the dtype of the cache or in float32."""

    def states(self, layer: int) -> LayerStates:
        """The states of all rows of the step in a recurrent layer."""


class KeysAndValuesOnly:
    """Base of an AttentionStep for models that have only keys and values. The other methods are never called."""

    def write(self, layer: int, k_TKH: Tensor, v_TKH: Tensor | None) -> None:
        """See AttentionStep."""
        raise _NotServed(layer)

    def long_rows(self, layer: int) -> LongRows | None:
        """See AttentionStep."""
        raise _NotServed(layer)

    def keys(self, layer: int, span: RowSpan) -> Tensor:
        """See AttentionStep."""
        raise _NotServed(layer)

    def states(self, layer: int) -> LayerStates:
        """See AttentionStep."""
        raise _NotServed(layer)


class _NotServed(NotImplementedError):
    def __init__(self, layer: int) -> None:
        super().__init__(f"layer {layer} needs a latent cache or a state, which is not there")


@dataclass(frozen=True, slots=True)
class RowSpan:
    """The part of a step that belongs to one row."""

    row: int  # index of the row in the step
    start: int  # index of its first token in the step
    num_queries: int  # number of its tokens in the step
    length: int  # number of tokens of the row, including those of this step

    @property
    def tokens(self) -> slice:
        """The tokens of the row in the step."""
        return slice(self.start, self.start + self.num_queries)

    def mask(self, device: torch.device) -> Tensor | None:
        """bool [queries, length], True where a query sees a token; None if this step holds all tokens of the row."""
        if self.num_queries == self.length:
            return None
        shape = self.num_queries, self.length
        seen = torch.ones(shape, dtype=torch.bool, device=device)
        return seen.tril_(self.length - self.num_queries)


@dataclass(frozen=True, slots=True)
class LongRows:
    """The rows of a step over a latent cache that have many queries, and the tokens of the others."""

    spans: Sequence[RowSpan]
    # int64, in the order of the step; None: all tokens belong to `spans`.
    others_A: Tensor | None


@dataclass(frozen=True, slots=True)
class _Split:
    """A step over a latent cache, apart by rows."""

    long: LongRows
    others: AttentionBatch | None  # the rows that `attend` serves


def split_rows(batch: AttentionBatch, most_queries: int) -> _Split | None:
    """Rows with more queries, and the batch of the others; None where no row has more."""
    counts = batch.query_lengths
    if max(counts) <= most_queries:
        return None
    starts = accumulate(counts, initial=0)
    rows = [
        RowSpan(*each)
        for each in zip(range(len(counts)), starts, counts, batch.lengths, strict=False)
    ]
    spans = [row for row in rows if row.num_queries > most_queries]
    others = [row for row in rows if row.num_queries <= most_queries]
    if not others:
        return _Split(LongRows(spans, None), None)
    device = batch.lengths_R.device
    tokens = [token for row in others for token in range(row.start, row.start + row.num_queries)]
    row_S, others_A = (_upload(x, device) for x in ([row.row for row in others], tokens))
    kept = [row.num_queries for row in others]
    reduced = AttentionBatch(
        query_lengths=kept,
        lengths=[row.length for row in others],
        query_starts_R1=_upload([*accumulate(kept, initial=0)], device).int(),
        lengths_R=batch.lengths_R[row_S],
        block_ids_RB=batch.block_ids_RB[row_S],
        slots_T=batch.slots_T[others_A],
    )
    return _Split(LongRows(spans, others_A), reduced)


def _upload(numbers: Sequence[int], device: torch.device) -> Tensor:
    return upload(np.asarray(numbers, dtype=np.int64), device)


@dataclass(frozen=True, slots=True)
class BoundAttention:
    """The attention object of a backend, and the layers that it serves."""

    attention: GroupAttention
    cache_group: int
    layers: tuple[int, ...]
    capture: str  # see AttentionBackend.capture
    needs_host_lengths: bool  # see AttentionBackend.needs_host_lengths


@dataclass(frozen=True, slots=True)
class _BoundLayer:
    group: int
    store: LayerStore | None  # None: nothing is cached, the tokens of a step see each other
    views: LayerCache | None
    written: LayerCache | None  # for kernels that write keys and values themselves
    attention: GroupAttention
    facts: LayerAttention
    out_scale: float  # factor of outputs: the scale of the cached values


class PagedAttention:
    """The AttentionStep of an engine. It is bound to the layers once, and gets the batch of each step."""

    def __init__(
        self,
        spec: ModelSpec,
        caches: Sequence[GroupCache | StateCache | None],
        # Together these serve every layer that attends, each layer once.
        attentions: Sequence[BoundAttention],
        # All mappings are by layer, and hold only the layers that have such a thing.
        sinks: Mapping[int, Tensor],
        block_size: int = 1,  # tokens
        scales: Mapping[int, CacheScales] = MappingProxyType({}),  # of a calibrated float8 cache
        biases: Mapping[int, Tensor] = MappingProxyType({}),  # by distance
    ) -> None:
        self._attentions = attentions
        self._paged = {n: cache for n, cache in enumerate(caches) if isinstance(cache, GroupCache)}
        self._block_size = block_size
        # For each recurrent layer, its cache group and its tensors.
        self._kept = {
            layer: (group, tensors)
            for group, cache in enumerate(caches)
            if isinstance(cache, StateCache)
            for layer, tensors in cache.layers.items()
        }
        # By group of a latent cache.
        self._most_absorbed = {
            bound.cache_group: mixer.most_absorbed
            for bound in attentions
            if isinstance(mixer := spec.layers[bound.layers[0]].mixer, LatentAttention)
        }
        self._split: dict[int, _Split] = {}  # by group, where a step has rows with many queries
        self._batches: Sequence[AttentionBatch] = ()
        self._states: dict[int, StepStates] = {}  # by cache group
        self._slots: list[Tensor] = []
        self._places: list[Places | None] = []
        of_layer = {layer: bound for bound in attentions for layer in bound.layers}
        self._layers = {
            layer: _bind(
                spec, layer, self._paged.get(bound.cache_group), bound, sinks, scales, biases
            )
            for layer, bound in of_layer.items()
        }

    def begin(self, batches: Sequence[AttentionBatch], *, is_recorded: bool = False) -> None:
        """Prepare for a step, outside of any graph. There is a batch for each cache group.

        `is_recorded`: a graph may record or replay the step, so what runs depends on its rows and tokens alone.
        """
        self._batches = batches
        self._slots = [batch.slots_T for batch in batches]
        self.start_pass()
        self._split.clear()
        for bound in self._attentions:
            self._prepare(bound, batches[bound.cache_group], is_recorded)

    def _prepare(self, bound: BoundAttention, batch: AttentionBatch, is_recorded: bool) -> None:
        """Backends of latent caches see the rows with few queries alone, but all rows of a recorded step."""
        most_queries = None if is_recorded else self._most_absorbed.get(bound.cache_group)
        split = None if most_queries is None else split_rows(batch, most_queries)
        if split is None:
            bound.attention.prepare(batch)
            return
        self._split[bound.cache_group] = split
        if split.others is not None:
            bound.attention.prepare(split.others)

    def start_pass(self) -> None:
        """Forget the places and states that a forward pass derived for its layers.

        A graph is recorded after passes that only warm up. It must record how places follow from slots, so it must not
        find the places of an earlier pass.
        """
        self._places = [None] * len(self._slots)
        self._states.clear()

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """As AttentionStep says."""
        bound = self._layers[layer]
        if bound.store is None or bound.views is None:
            assert k_TKH is not None, "there is no cache to read keys from"
            assert v_TKH is not None, "there is no cache to read values from"
            return bound.attention.attend_together(q_TNH, k_TKH, v_TKH, bound.facts)
        if k_TKH is not None:
            bound.store.write(k_TKH, v_TKH, self._places_of(bound.group))
        o_TNH = bound.attention.attend(q_TNH, bound.views, bound.facts)
        return o_TNH if bound.out_scale == 1.0 else o_TNH.mul_(bound.out_scale)

    def paged(self, layer: int) -> tuple[LayerCache, Tensor] | None:
        """As AttentionStep says."""
        bound = self._layers[layer]
        return None if bound.written is None else (bound.written, self._slots[bound.group])

    def write(self, layer: int, k_TKH: Tensor, v_TKH: Tensor | None) -> None:
        """As AttentionStep says."""
        bound = self._layers[layer]
        assert bound.store is not None, "a latent cache is there"
        bound.store.write(k_TKH, v_TKH, self._places_of(bound.group))

    def long_rows(self, layer: int) -> LongRows | None:
        """As AttentionStep says."""
        split = self._split.get(self._layers[layer].group)
        return None if split is None else split.long

    def keys(self, layer: int, span: RowSpan) -> Tensor:
        """As AttentionStep says."""
        bound = self._layers[layer]
        num_blocks = -(-span.length // self._block_size)
        blocks_B = self._batches[bound.group].block_ids_RB[span.row, :num_blocks]
        assert bound.views is not None, "a latent cache is there"
        assert bound.store is not None, "likewise"
        key_BSHD = bound.views.key_BSHD
        if key_BSHD.itemsize > 1:
            return key_BSHD[blocks_B.long()].flatten(0, 1)[: span.length]
        found = key_BSHD.view(torch.uint8)[blocks_B.long()].flatten(0, 1)[: span.length]
        return found.view(key_BSHD.dtype).float() * bound.store.scales.key

    def states(self, layer: int) -> LayerStates:
        """As AttentionStep says."""
        group, tensors = self._kept[layer]
        states = self._states.get(group)
        if states is None:
            states = self._states[group] = step_states(self._batches[group], self._block_size)
        return LayerStates(tensors, states)

    @property
    def can_capture(self) -> bool:
        """True if a graph may record `attend` for steps in which every row has one query."""
        return all(bound.capture != "none" for bound in self._attentions)

    @property
    def can_capture_any(self) -> bool:
        """True if a graph may record `attend` for steps in which rows have any numbers of queries."""
        return not self._kept and all(bound.capture == "any" for bound in self._attentions)

    def is_worth_recording(self, counts_R: Ints, lengths_R: Ints) -> bool:
        """False for a step with prompts that runs faster unrecorded. Tokens of each row in the step, and in all.

        A recorded step absorbs all its rows, since how keys and values are made for a row depends on its length.
        """
        pairs = sum(
            int(np.maximum(counts_R - most_queries, 0) @ lengths_R)
            for most_queries in self._most_absorbed.values()
        )
        return pairs <= _MOST_PAIRS

    def needs_host_lengths(self, counts: Sequence[int]) -> bool:
        """True if a step with so many tokens in each row needs their exact lengths on the host to be prepared."""
        if any(bound.needs_host_lengths for bound in self._attentions):
            return True
        most = max(counts, default=0)
        return any(most > most_queries for most_queries in self._most_absorbed.values())

    def close(self) -> None:
        """Free the backends' buffers."""
        for bound in self._attentions:
            bound.attention.close()

    def _places_of(self, group: int) -> Places:
        """The places of the step's tokens. The first layer that writes computes them, so a graph records this too."""
        places = self._places[group]
        if places is None:
            places = self._places[group] = self._paged[group].places(self._slots[group])
        return places


def _bind(
    spec: ModelSpec,
    layer: int,
    cache: GroupCache | None,
    bound: BoundAttention,
    sinks: Mapping[int, Tensor],
    scales: Mapping[int, CacheScales],
    biases: Mapping[int, Tensor],
) -> _BoundLayer:
    source = spec.layers[layer].cache_of_layer
    owner = layer if source is None else source
    whole = spec.layers[layer].mixer
    mixer = whole.attention
    latent = whole.latent_size if isinstance(whole, LatentAttention) else None
    assert mixer is not None, "a backend is bound to layers that attend"
    store = None if cache is None else cache.layers[owner].scaled(scales.get(owner))
    key_scale = 1.0 if store is None else store.scales.key
    facts = LayerAttention(
        scale=mixer.scale * key_scale,  # so backends need not know about scales of the cache
        window=mixer.window,
        chunk_size=mixer.chunk_size,
        soft_cap=mixer.soft_cap,
        sinks_N=sinks[layer] if mixer.sinks else None,
        causal=mixer.causal,
        latent=latent,
        distance_bias_ND=biases.get(layer),
    )
    if store is None:
        return _BoundLayer(bound.cache_group, None, None, None, bound.attention, facts, 1.0)
    views = store.views if latent is None else store.latent_views(latent)
    out_scale = store.scales.value if latent is None else store.scales.key
    written = views if _can_be_written(views.key_BSHD, store.scales) else None
    return _BoundLayer(bound.cache_group, store, views, written, bound.attention, facts, out_scale)


def _can_be_written(key_BSHD: Tensor, scales: CacheScales) -> bool:
    """True if a kernel that writes by itself fills this cache: it converts float8 as the chip does, and divides by nothing."""
    return scales == CacheScales() and (key_BSHD.itemsize > 1 or converts_float8(key_BSHD.device))
