"""The card of the torch SDPA backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("float64", "float32", "bfloat16", "float16")


class TorchSdpaBackend(AttentionBackend):
    """Attention with torch's own operators: any device, head size and block size."""

    features = frozenset(
        {
            "attention.window",
            "attention.soft_cap",
            "attention.sinks",
            "attention.latent",
            "attention.cacheless",
        }
    )
    layouts = LayoutSupport(orders=("KHBSD",), dtypes=_DTYPES)

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses dtypes that torch's attention does not compute in."""
        wrong = {need.dtype, need.cache_dtype}.difference(_DTYPES)
        if not wrong:
            return ()
        text = f"computes in {', '.join(_DTYPES)}, not in {', '.join(sorted(wrong))}"
        return (Reason("dtype", text, "set model.dtype or cache.dtype to one of them"),)

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """The object that attends for one cache group."""
        from jackfield_torch_sdpa.attention import TorchSdpaAttention

        return TorchSdpaAttention(group, limits)
