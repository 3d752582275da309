"""The running side of an attention backend, and its inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLimits:
    """Upper bounds for the sizes of buffers, and the shape of the queries on this rank."""

    device: torch.device  # device of this rank
    dtype: torch.dtype  # dtype of queries and outputs
    num_heads: int  # query heads on this rank
    num_kv_heads: int  # key-value heads on this rank
    head_size: int  # elements
    max_rows: int  # rows of a step
    max_step_tokens: int  # of all rows of a step together
    max_length: int  # most tokens of a row
    num_blocks: int  # blocks of the cache group; block ids are smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAttention:
    """The facts of one layer, which are constant over a run."""

    scale: float  # multiplies q.k before the softmax
    window: int | None = None  # tokens seen by a query, itself included; None: all
    # Tokens of a chunk: positions are cut into chunks, and a query sees only its own chunk. None: no chunks.
    chunk_size: int | None = None
    soft_cap: float | None = None  # c * tanh(scores / c); None: none
    # float32. For each head one more score, that of a key without a value.
    sinks_N: Tensor | None = None
    # False: a token also sees later tokens of its row; then `window` counts to both sides.
    causal: bool = True
    # The value of a token is this many leading elements of its only key; `LayerCache.value_BSHD` is a view of the key.
    latent: int | None = None
    # float32 [N, 2 L - 1] for rows of up to L tokens: what is added to scores of a head, by distance. Element
    # L - 1 + d belongs to a key that stands d tokens after the query.
    distance_bias_ND: Tensor | None = None

    def first_seen(self, position: int) -> int:
        """The first position that a causal query at `position` sees."""
        if self.chunk_size is not None:
            return position // self.chunk_size * self.chunk_size
        return 0 if self.window is None else max(0, position - self.window + 1)

    def are_behind(self, query_Q1: Tensor, key_W: Tensor) -> Tensor | None:
        """bool [Q, W]: True if a causal query at a position does not see an earlier position. None: it sees all of them."""
        if self.chunk_size is not None:
            return key_W < query_Q1 // self.chunk_size * self.chunk_size
        return None if self.window is None else key_W <= query_Q1 - self.window


@dataclass(slots=True, kw_only=True)
class AttentionBatch:
    """One step as a cache group sees it: R rows, T tokens in all, at most B blocks for each row.

    Rows that only pad the step to the size of a graph are ordinary rows: one query, one token, a block of their own.
    If a step is captured or replayed, its tensors keep their addresses from step to step.

    The queries of row r are tokens query_starts[r] : query_starts[r + 1]. They are the last of its `lengths[r]`
    tokens, all of which are in the cache when `attend` runs: the runtime has already written this step's keys and
    values. A slot without a token, or with a token that no query of the step sees (before its window or chunk), can
    hold anything, NaN included. If the card says `needs_finite_slots`, such slots hold numbers.
    """

    query_lengths: Sequence[int]  # host; for each row, at least 1
    # Host; tokens of each row, including this step's. If the card has no `needs_host_lengths`, upper bounds of
    # lengths_R.
    lengths: Sequence[int]
    query_starts_R1: Tensor  # int32, R + 1
    lengths_R: Tensor  # int32
    block_ids_RB: Tensor  # int32; entries after a row's length are arbitrary valid ids
    slots_T: Tensor  # int64, block * block_size + offset of each token of the step


@dataclass(frozen=True, slots=True)
class LayerCache:
    """Keys and values of one layer, as [blocks, slots, kv heads, head size] whatever their layout in memory."""

    key_BSHD: Tensor  # a view of the cache, never a copy
    value_BSHD: Tensor  # also a view


class GroupAttention(ABC):
    """Computes attention for all layers of one cache group."""

    @abstractmethod
    def prepare(self, batch: AttentionBatch) -> None:
        """Called once a step, outside any graph: plan, gather indices, fill persistent buffers."""

    @abstractmethod
    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """Attention of this step's queries over the paged cache; returns o_TNH in q's dtype, with the size of values.

        T tokens of all rows, N query heads, H head size. Query head n reads kv head n // (N // kv heads). The query
        of position p sees keys `first_seen(p)` to p. Raises nothing for a batch within `AttentionLimits`, since the
        card's `check` refuses what cannot be served. Source: Vaswani et al. 2017, section 3.2.1; paged as in Kwon et
        al. 2023, section 4; sinks as in Xiao et al. 2024, but with a learned score.
        """

    def attend_together(
        self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention
    ) -> Tensor:
        """Attention among the tokens of each row in this step, without a cache; returns o_TNH in q's dtype.

        Called instead of `attend` if the card declares `attention.cacheless`. A token sees all tokens of its row;
        with a window, those less than `window` away, before and behind it. The batch has no blocks, and its slots
        mean nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} attends over a cache alone")

    def close(self) -> None:
        """Free buffers."""
