"""The card of an attention backend: its abilities as data. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.interfaces.card import Card

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

KIND = "jackfield_torch.attention_backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionNeed:
    """What the layers of one cache group need of a backend. Non-default fields are named features."""

    FEATURE: ClassVar[str] = "attention"

    device: str  # "cpu", "cuda"
    dtype: str  # of q, k, v
    cache_dtype: str  # of keys and values
    num_heads: int  # on one rank
    num_kv_heads: int  # on one rank
    head_size: int  # elements
    block_size: int  # tokens
    window: bool = False  # queries see only a number of last keys
    chunked: bool = False  # queries see only the keys of their own chunk of positions
    soft_cap: bool = False  # scores are capped
    relative_bias: bool = False  # scores depend on the distance of tokens
    sinks: bool = False  # each head has one more score, that of a key without a value
    non_causal: bool = False  # tokens also see later tokens of their row, over a cache
    # Tokens also see later tokens of their row, and nothing is cached: `attend_together` (encoders).
    cacheless: bool = False
    # In a latent cache: the value is this many leading elements of its key.
    latent: int | None = None


class AttentionBackend(Card):
    """Selected for each cache group. `check(AttentionNeed, facts)`.

    `capture` says which steps a device graph may record: "none", "uniform" (all rows have equally many queries) or
    "any". A graph is replayed for steps with as many rows and tokens as the recorded step, after `prepare` for each
    of them. With "any" the queries may be distributed differently over the rows. Lengths, blocks and the order of
    rows are those of the replayed step.
    """

    layouts: ClassVar[LayoutSupport] = LayoutSupport()  # layouts that it reads
    capture: ClassVar[str] = "none"  # "none", "uniform" or "any"
    # Needs exact lengths on the host, not only upper bounds.
    needs_host_lengths: ClassVar[bool] = True
    # True: it reads slots without a token and weighs them with 0, so they must hold numbers; the runtime fills the
    # cache with zeros. False: such slots may hold NaN.
    needs_finite_slots: ClassVar[bool] = False

    @abstractmethod
    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group on this rank."""
