"""The card: the abilities of the backend as data. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("float32", "bfloat16", "float16")


class OnlineBackend(AttentionBackend):
    """Causal attention for any device, head size and block size. It computes in float32, whatever the dtypes."""

    features = frozenset({"attention.window", "attention.soft_cap", "attention.sinks"})
    layouts = LayoutSupport(dtypes=_DTYPES)

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse dtypes that float32 cannot hold exactly."""
        wrong = {need.dtype, need.cache_dtype}.difference(_DTYPES)
        if not wrong:
            return ()
        text = f"computes in float32 from {', '.join(_DTYPES)}, not from {', '.join(sorted(wrong))}"
        return (Reason("dtype", text, "set model.dtype and cache.dtype to one of them"),)

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_acme_attention.attention import OnlineAttention

        return OnlineAttention(layout.block_size, limits.num_kv_heads)
