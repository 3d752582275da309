"""The cards of attention backends with one planted fault each; faulty_attention.py has what runs."""

from jackfield.cache import LayoutSupport
from jackfield.decision import Reason
from jackfield_torch.interfaces.attention_backend import AttentionBackend


class Sound(AttentionBackend):
    features = frozenset(
        f"attention.{name}"
        for name in (
            "window",
            "chunked",
            "soft_cap",
            "sinks",
            "non_causal",
            "latent",
            "cacheless",
            "relative_bias",
        )
    )
    layouts = LayoutSupport(orders=("KHBSD", "KBSHD"))
    needs_host_lengths = False

    def create(self, group, layout, limits):
        import faulty_attention  # beside this file

        return getattr(faulty_attention, type(self).__name__)(group, layout, limits)


class OrderOfNobody(Sound):
    layouts = LayoutSupport(orders=("KHBSD", "KBSDH"))


class ClaimsNothing(Sound):
    def check(self, need, facts):
        return (Reason("weekday", "not today", "try tomorrow"),)


class Recordable(Sound):
    capture = "any"


class RecordsItsLengths(Recordable):
    pass


class RecordsItsRows(Recordable):
    pass


class SoftCapInHalfOnly(Sound):
    def check(self, need, facts):
        if need.soft_cap and need.dtype == "float32":
            return (Reason("soft_cap", "caps scores in half precision alone"),)
        return ()


class Particular(Sound):
    """Claims that depend on each other: as of several kernels, each with its own limits."""

    layouts = LayoutSupport(orders=("KHBSD",), block_sizes=(16, 32))

    def check(self, need, facts):
        refused = {
            "a cache of another dtype": need.cache_dtype != need.dtype,
            "capped scores in float32": need.soft_cap and need.dtype == "float32",
            "sinks and caps at once": need.soft_cap and need.sinks,
            "large heads in small blocks": need.head_size > 96 and need.block_size < 32,
            "float16 with causality": need.dtype == "float16" and not need.non_causal,
        }
        return tuple(
            Reason("kernel", f"has no kernel for {word}") for word in refused if refused[word]
        )


class NoWindowInBfloat16(Particular):
    pass


class Explodes(Sound):
    def create(self, group, layout, limits):
        raise RuntimeError("never")


def __getattr__(name):
    """The card of a fault that only shows in what runs."""
    if name.startswith("_"):
        raise AttributeError(name)
    return type(name, (Sound,), {"__module__": __name__})
