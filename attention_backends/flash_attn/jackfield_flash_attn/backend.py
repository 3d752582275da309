"""The card of the FlashAttention backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_flash_attn.chip import chip_capability
from jackfield_flash_attn.variant import DTYPES, Ask, Variant
from jackfield_flash_attn.variants import VARIANTS, choose, find_variants
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_FEATURES = ("window", "soft_cap", "sinks", "non_causal")


class FlashAttnBackend(AttentionBackend):
    """Uses the first installed release of FlashAttention that serves the layers, in the order 3, 4, 2, torch's own."""

    features = frozenset(f"attention.{name}" for name in _FEATURES)
    layouts = LayoutSupport(orders=("KBSHD", "BKSHD"), dtypes=DTYPES)
    capture = "uniform"
    needs_host_lengths = False
    needs_finite_slots = True

    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    variants: ClassVar[Sequence[Variant]] = VARIANTS  # in the order of preference

    def probe(self) -> Facts:
        """The usable releases, why others are not usable, and the chip's major capability. Imports the releases, not
        torch.
        """
        return {**find_variants(self.variants), "chip": chip_capability()}

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse hosts, float32, and layers that no usable release serves; the reason names each release."""
        if need.device not in self.devices:
            text = f"needs an NVIDIA GPU, not {need.device}"
            return (Reason("device", text, "set select.attention to torch_sdpa"),)
        if wrong := {need.dtype, need.cache_dtype}.difference(DTYPES):
            text = f"computes in {' and '.join(DTYPES)}, not in {', '.join(sorted(wrong))}"
            return (Reason("dtype", text, "set model.dtype and cache.dtype to one of them"),)
        if need.dtype != need.cache_dtype:
            text = f"reads a cache in the dtype of the queries, not {need.cache_dtype} with {need.dtype}"
            return (Reason("cache_dtype", text, "leave cache.dtype at auto"),)
        features = frozenset(name for name in _FEATURES if getattr(need, name))
        ask = Ask(head_size=need.head_size, block_size=need.block_size, features=features)
        chosen, refusals = choose(self.variants, ask, facts)
        if chosen is not None:
            return ()
        return tuple(
            Reason(name, text, "or set select.attention to another one")
            for name, text in refusals.items()
        )

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_flash_attn.attention import FlashAttention

        return FlashAttention(limits, layout.block_size, self.variants, self.probe())
