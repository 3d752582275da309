"""Attention of a single row, written in full: the oracle for decoders and attention backends."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jackfield.cache import RECURRENT
from jackfield.dtypes import FLOAT32
from jackfield.model_spec import Attention, LatentAttention, ModelSpec
from jackfield_torch.attention_step import LongRows, RowSpan
from jackfield_torch.states import LayerStates, StatePart, StepStates

_ONE_ROW = StepStates(
    (StatePart(slice(0, 1), slice(None), 1),),
    torch.zeros(1, dtype=torch.int64),
    torch.zeros(1, dtype=torch.int64),
    torch.zeros(1, dtype=torch.bool),
)


class DenseAttention:
    """An `AttentionStep` that keeps the keys and values of one row in a list, over any number of steps."""

    def __init__(self, spec: ModelSpec, sinks: Mapping[int, Tensor] | None = None) -> None:
        """`sinks`: those of each layer that has sinks."""
        self._layers = spec.layers
        self._sinks = sinks or {}
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._states: dict[int, tuple[Tensor, ...]] = {}

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """See AttentionStep."""
        owner = self._layers[layer].cache_of_layer
        source = layer if owner is None else owner
        if k_TKH is not None:
            self.write(source, k_TKH, v_TKH)
        mixer = self._layers[layer].mixer.attention
        assert mixer is not None, "only layers that attend ask for attention"
        sinks_N = self._sinks[layer] if mixer.sinks else None
        return dense_attention(q_TNH, self._keys[source], self._values[source], mixer, sinks_N)

    def paged(self, layer: int) -> None:
        """None: keys and values come through `attend`. See AttentionStep."""

    def write(self, layer: int, k_TKH: Tensor, v_TKH: Tensor | None) -> None:
        """See AttentionStep. In a latent cache the value is a part of the key."""
        mixer = self._layers[layer].mixer
        if v_TKH is None and isinstance(mixer, LatentAttention):
            v_TKH = k_TKH[..., : mixer.latent_size]
        assert v_TKH is not None, "keys come with values"
        self._append(self._keys, layer, k_TKH)
        self._append(self._values, layer, v_TKH)

    def long_rows(self, layer: int) -> LongRows | None:
        """None: the row always attends in the space of latent vectors. See AttentionStep."""

    def keys(self, layer: int, span: RowSpan) -> Tensor:
        """See AttentionStep."""
        return self._keys[layer]

    def states(self, layer: int) -> LayerStates:
        """See AttentionStep."""
        if layer not in self._states:
            (use,) = (u for u in self._layers[layer].mixer.caches(FLOAT32) if u.kind == RECURRENT)
            self._states[layer] = tuple(torch.zeros(1, *tensor.shape) for tensor in use.tensors)
        return LayerStates(self._states[layer], _ONE_ROW)

    @staticmethod
    def _append(store: dict[int, Tensor], layer: int, new_TKH: Tensor) -> None:
        # The tensor is copied, because it may be a view of a buffer that the caller reuses.
        store[layer] = torch.cat((store.get(layer, new_TKH[:0]), new_TKH.clone()))


def dense_attention(
    q_TNH: Tensor,
    k_LKH: Tensor,
    v_LKH: Tensor,
    mixer: Attention,
    sinks_N: Tensor | None = None,
) -> Tensor:
    """The last T of L tokens attend to all of them, in float32; o_TNH in q's dtype.

    `sinks_N`: for each head one more score, that of a key without a value.
    """
    num_queries, num_heads, _ = q_TNH.shape
    length = k_LKH.shape[0]
    repeats = num_heads // k_LKH.shape[1]
    k_LNH = k_LKH.float().repeat_interleave(repeats, 1)
    v_LNH = v_LKH.float().repeat_interleave(repeats, 1)
    scores_NTL = torch.einsum("tnh,lnh->ntl", q_TNH.float(), k_LNH) * mixer.scale
    if mixer.soft_cap is not None:
        scores_NTL = mixer.soft_cap * torch.tanh(scores_NTL / mixer.soft_cap)
    query_T = torch.arange(length - num_queries, length).unsqueeze(1)
    distance_TL = query_T - torch.arange(length)
    hidden_TL = distance_TL < 0
    if mixer.window is not None:
        hidden_TL = hidden_TL | (distance_TL >= mixer.window)
    if mixer.chunk_size is not None:
        chunk_L = torch.arange(length) // mixer.chunk_size
        hidden_TL = hidden_TL | (chunk_L < query_T // mixer.chunk_size)
    scores_NTL = scores_NTL.masked_fill(hidden_TL, -torch.inf)
    if sinks_N is not None:
        sinks_NT1 = sinks_N.float().view(-1, 1, 1).expand(-1, num_queries, 1)
        scores_NTL = torch.cat([scores_NTL, sinks_NT1], -1)
    probabilities_NTL = scores_NTL.softmax(-1)[..., :length]
    return torch.einsum("ntl,lnh->tnh", probabilities_NTL, v_LNH).to(q_TNH.dtype)
