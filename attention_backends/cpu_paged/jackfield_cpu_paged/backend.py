"""The card of the paged CPU backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_cpu_paged.kernel import library_path, load_library
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("float32", "bfloat16")
_FLOAT8 = "float8_e4m3"


class CpuPagedBackend(AttentionBackend):
    """C++ kernels read the cache in place: for rows that decode, and on AMX for prompts, which else use torch's operator."""

    features = frozenset({"attention.window", "attention.chunked"})
    layouts = LayoutSupport(orders=("KHBSD",), dtypes=(*_DTYPES, _FLOAT8))

    def probe(self) -> Facts:
        """Whether the kernel exists, and its largest head size. Raises OSError if it does not load."""
        if library_path() is None:
            return {"compiled": False}
        return {
            "compiled": True,
            "max_head_size": load_library().paged_decode_max_head_size(),
        }

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse other devices, dtypes and head sizes than those of the kernel, and a missing kernel."""
        if need.device != "cpu":
            text = f"runs on a cpu, not on {need.device}"
            return (Reason("device", text, 'set select.platform = "cpu"'),)
        if not facts["compiled"]:
            text = "its kernel was not compiled when it was installed"
            remedy = "install a C++ compiler, then pip install --force-reinstall --no-deps jackfield-cpu-paged"
            return (Reason("kernel", text, remedy),)
        reasons = []
        if need.dtype not in _DTYPES or need.cache_dtype not in (need.dtype, _FLOAT8):
            text = (
                f"computes in {' or '.join(_DTYPES)} with a cache of the same or of {_FLOAT8}, not in {need.dtype} over "
                f"{need.cache_dtype}"
            )
            reasons.append(Reason("dtype", text, "set model.dtype and cache.dtype to one of them"))
        most = facts["max_head_size"]
        if isinstance(most, int) and need.head_size > most:
            text = f"takes heads of {most} elements at most, not {need.head_size}"
            reasons.append(Reason("head_size", text, "needs a model with smaller heads"))
        return tuple(reasons)

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_cpu_paged.attention import CpuPagedAttention

        return CpuPagedAttention(group, limits)
