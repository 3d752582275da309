"""The card of the Triton attention backend."""

from __future__ import annotations

import importlib.util
import os
from importlib import metadata
from typing import TYPE_CHECKING

from jackfield.cache import LATENT, CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.features import features_in_use
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("float32", "bfloat16", "float16")
# Float8 is converted to the dtype of the queries while it is read.
_CACHE_DTYPES = (*_DTYPES, "float8_e4m3")
_DEVICES = ("cuda",)  # torch uses this name for AMD's devices too
_MOST_ELEMENTS = 256  # largest head size
_LATENT_ALONE = frozenset(
    f"attention.{name}" for name in ("window", "chunked", "soft_cap", "sinks", "non_causal")
)
_MOST_LATENT, _MOST_ROTATED = 512, 128  # of a latent cache


class TritonAttnBackend(AttentionBackend):
    """Our own Triton kernels over the paged cache: any block size, grouped heads, windows, soft caps and sinks."""

    features = frozenset(
        {
            "attention.window",
            "attention.chunked",
            "attention.soft_cap",
            "attention.sinks",
            "attention.non_causal",
            "attention.latent",
        }
    )
    layouts = LayoutSupport(orders=("KBSHD", "KBHSD", "BKSHD"), dtypes=_CACHE_DTYPES)
    capture = "any"
    needs_host_lengths = False

    facts_last = False  # TRITON_INTERPRET decides whether kernels run on the host

    def probe(self) -> Facts:
        """The installed version of Triton, found without importing it, and whether its interpreter is on."""
        if importlib.util.find_spec("triton") is None:
            return {"triton": "", "interpreted": False}
        # For tests: Triton's interpreter runs kernels on the host.
        is_interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        return {"triton": metadata.version("triton"), "interpreted": is_interpreted}

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse hosts, a missing Triton, other dtypes and heads that exceed its tiles."""
        reasons = []
        if need.device not in _DEVICES and not facts.get("interpreted"):
            reasons.append(
                Reason(
                    "device",
                    f"needs an accelerator, not {need.device}",
                    "set select.attention to torch_sdpa",
                )
            )
        if not facts.get("triton"):
            reasons.append(Reason("triton", "triton is not installed", "pip install triton"))
        if need.dtype not in _DTYPES:
            text = f"computes in {', '.join(_DTYPES)}, not in {need.dtype}"
            reasons.append(Reason("dtype", text, "set model.dtype to one of them"))
        if need.cache_dtype not in _CACHE_DTYPES:
            text = f"reads a cache of {', '.join(_CACHE_DTYPES)}, not of {need.cache_dtype}"
            reasons.append(Reason("cache_dtype", text, "set cache.dtype to one of them"))
        if text := _refuse_size(need):
            reasons.append(Reason("head_size", text, "set select.attention to torch_sdpa"))
        if need.latent is not None and (extra := _LATENT_ALONE & features_in_use(need)):
            text = f"reads latent caches without {', '.join(sorted(extra))}"
            reasons.append(Reason("latent", text, "set select.attention to torch_sdpa"))
        return tuple(reasons)

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        if group.kind == LATENT:
            from jackfield_triton_attn.latent import LatentAttention

            return LatentAttention(limits, layout.dtype.itemsize)
        from jackfield_triton_attn.attention import TritonAttention

        return TritonAttention(limits)


def _refuse_size(need: AttentionNeed) -> str:
    """Why heads of this size are not served; empty if they are."""
    if need.latent is None:
        if need.head_size <= _MOST_ELEMENTS:
            return ""
        return f"heads of {need.head_size} elements do not fit into its tiles; at most {_MOST_ELEMENTS}"
    rotated = need.head_size - need.latent
    if need.latent <= _MOST_LATENT and 0 < rotated <= _MOST_ROTATED:
        return ""
    return (
        f"latent vectors of {need.latent} elements with {rotated} rotated ones do not fit into its tiles; "
        f"at most {_MOST_LATENT} and {_MOST_ROTATED}, and at least one"
    )
