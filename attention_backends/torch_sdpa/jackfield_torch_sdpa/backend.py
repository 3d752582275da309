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
# Float8 is converted to the dtype of the queries while it is read.
_CACHE_DTYPES = (*_DTYPES, "float8_e4m3", "float8_e5m2")


class TorchSdpaBackend(AttentionBackend):
    """Attention with torch's own operators: any device, head size and block size."""

    features = frozenset(
        {
            "attention.window",
            "attention.chunked",
            "attention.soft_cap",
            "attention.sinks",
            "attention.latent",
            "attention.cacheless",
            "attention.relative_bias",
        }
    )
    layouts = LayoutSupport(orders=("KHBSD",), dtypes=_CACHE_DTYPES)

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse dtypes that torch's attention does not support, and distance biases over a cache."""
        reasons = []
        if need.dtype not in _DTYPES:
            text = f"computes in {', '.join(_DTYPES)}, not in {need.dtype}"
            reasons.append(Reason("dtype", text, "set model.dtype to one of them"))
        if need.cache_dtype not in _CACHE_DTYPES:
            text = f"reads a cache of {', '.join(_CACHE_DTYPES)}, not of {need.cache_dtype}"
            reasons.append(Reason("cache_dtype", text, "set cache.dtype to one of them"))
        if need.relative_bias and not need.cacheless:
            text = "adds biases of distances where nothing is cached, as in encoders"
            reasons.append(Reason("relative_bias", text))
        return tuple(reasons)

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_torch_sdpa.attention import TorchSdpaAttention

        return TorchSdpaAttention(group, limits)
