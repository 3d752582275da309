"""The card of an attention backend: what it can do, as data. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.interfaces.card import Card

if TYPE_CHECKING:  # the card is read where torch is not installed
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

KIND = "jackfield_torch.attention_backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionNeed:
    """What the layers of one cache group ask of a backend. Non-default fields are named features."""

    FEATURE: ClassVar[str] = "attention"

    device: str  # "cpu", "cuda"
    dtype: str  # of q, k, v
    cache_dtype: str  # of keys and values
    num_heads: int  # on one rank
    num_kv_heads: int  # on one rank
    head_size: int  # elements
    block_size: int  # tokens
    window: bool = False  # queries see the last so many keys only
    chunked: bool = False  # queries see the keys of their own chunk of positions only
    soft_cap: bool = False  # scores are capped
    sinks: bool = False  # each head has one more score, of a key without a value
    non_causal: bool = False  # tokens see later ones of their row, over a cache
    # tokens see later ones of their row, and nothing is cached: `attend_together` (encoders)
    cacheless: bool = False
    latent: int | None = (
        None  # the first so many elements of a key are its value: of a latent cache
    )


class AttentionBackend(Card):
    """Selected for each cache group. `check(AttentionNeed, facts)`.

    `capture` says what a device graph may record: "none", "uniform" (all rows have as many queries) or "any". A graph
    is replayed for steps with as many rows and as many tokens in all as the one that it recorded, after `prepare` of each;
    under "any" the queries may be shared out among the rows in another way. Lengths, blocks and the order of rows are those
    of the step.
    """

    layouts: ClassVar[LayoutSupport] = LayoutSupport()  # that it reads
    capture: ClassVar[str] = "none"  # "none", "uniform" or "any"
    needs_host_lengths: ClassVar[bool] = True  # exact lengths on the host, not only upper bounds
    # True: reads slots that hold no token and weighs them with 0, so that they must hold numbers; the runtime fills the
    # cache with zeros. False: such slots may hold NaN.
    needs_finite_slots: ClassVar[bool] = False

    @abstractmethod
    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """The object that attends for one cache group on this rank."""
