"""The running side of an attention backend, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLimits:
    """Upper bounds that buffers are sized by, and the shape of the queries on this rank."""

    device: torch.device  # of this rank
    dtype: torch.dtype  # of queries and outputs
    num_heads: int  # query heads on this rank
    num_kv_heads: int  # on this rank
    head_size: int  # elements
    max_rows: int  # of a step
    max_step_tokens: int  # over all rows of a step
    max_length: int  # tokens of a row
    num_blocks: int  # of the cache group; block ids are below it


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAttention:
    """What one layer adds: facts that are constant over a run."""

    scale: float  # multiplies q.k before the softmax
    window: int | None = None  # tokens seen by a query, itself included; None: all
    # positions are cut into chunks of so many tokens, and a query sees those of its own chunk; None: all, or the window
    chunk_size: int | None = None
    soft_cap: float | None = None  # c * tanh(scores / c); None: none
    sinks_N: Tensor | None = None  # float32; of each head one more score, of a key without a value
    # False: a token sees later ones of its row too; `window` then counts to both sides
    causal: bool = True
    # the value of a token is the first so many elements of its one key, of which `LayerCache.value_BSHD` is a view
    latent: int | None = None

    def first_seen(self, position: int) -> int:
        """The first position that a query at `position` sees, where it is causal."""
        if self.chunk_size is not None:
            return position // self.chunk_size * self.chunk_size
        return 0 if self.window is None else max(0, position - self.window + 1)

    def are_behind(self, query_Q1: Tensor, key_W: Tensor) -> Tensor | None:
        """bool [Q, W], True where a causal query at a position does not see an earlier one; None: it sees all of them."""
        if self.chunk_size is not None:
            return key_W < query_Q1 // self.chunk_size * self.chunk_size
        return None if self.window is None else key_W <= query_Q1 - self.window


@dataclass(slots=True, kw_only=True)
class AttentionBatch:
    """One step as a cache group sees it. R rows, T tokens in all, B blocks a row at most.

    Rows that only pad the step to the size of a graph are rows like others: one query, one token, a block of their
    own. The tensors of a step that is captured or replayed keep their addresses from step to step.

    The queries of row r are tokens query_starts[r] : query_starts[r + 1]; they are the last of its `lengths[r]`
    tokens, all of which are in the cache when `attend` runs (the runtime has written this step's keys and values).
    Slots that hold no token of a row, or one that no query of the step sees (behind its window, before its chunk), can hold
    anything, NaN included; numbers only where the card says `needs_finite_slots`.
    """

    query_lengths: Sequence[int]  # host, of each row; at least 1
    # host, tokens of each row, this step's included; of a card without `needs_host_lengths` upper bounds of lengths_R
    lengths: Sequence[int]
    query_starts_R1: Tensor  # int32, R + 1
    lengths_R: Tensor  # int32
    block_ids_RB: Tensor  # int32; entries past a row's length are arbitrary valid ids
    slots_T: Tensor  # int64, block * block_size + offset of each token of the step


@dataclass(frozen=True, slots=True)
class LayerCache:
    """Keys and values of one layer, in the order [blocks, slots, kv heads, head size] whatever the layout in memory."""

    key_BSHD: Tensor  # a view of the cache, never a copy
    value_BSHD: Tensor  # likewise


class GroupAttention(ABC):
    """Attends for all layers of one cache group."""

    @abstractmethod
    def prepare(self, batch: AttentionBatch) -> None:
        """Once a step, outside any graph: plan, gather indices, fill persistent buffers."""

    @abstractmethod
    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """Attention of this step's queries over the paged cache; returns o_TNH in q's dtype, with the size of values.

        T tokens of all rows, N query heads, H head size. Query head n reads kv head n // (N // kv heads). The query
        of position p sees keys `first_seen(p)` to p. Raises nothing for a batch within `AttentionLimits`: what cannot
        be served is refused by the card's `check`. Source: Vaswani et al. 2017, section 3.2.1; paged as in Kwon et
        al. 2023, section 4; sinks as in Xiao et al. 2024 with a learned score.
        """

    def attend_together(
        self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention
    ) -> Tensor:
        """Attention among the tokens of each row in this step, without a cache; returns o_TNH in q's dtype.

        Called instead of `attend` where the card declares `attention.cacheless`. A token sees all of its row, or with a window
        those that are less than `window` away, before and behind it. The batch has no blocks; its slots mean nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} attends over a cache alone")

    def close(self) -> None:
        """Free buffers."""
