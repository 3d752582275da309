"""The cards of attention backends with one planted fault each; faulty_attention.py has what runs."""

from jackfield.cache import LayoutSupport
from jackfield.decision import Reason
from jackfield_torch.interfaces.attention_backend import AttentionBackend


class Sound(AttentionBackend):
    features = frozenset(
        f"attention.{name}" for name in ("window", "soft_cap", "sinks", "non_causal")
    )
    layouts = LayoutSupport(orders=("KHBSD", "KBSHD"))
    needs_host_lengths = False

    def create(self, group, layout, limits):
        import faulty_attention  # beside this file

        return getattr(faulty_attention, type(self).__name__)(group, layout, limits)


class WindowOffByOne(Sound):
    pass


class OwnScale(Sound):
    pass


class SoftCapIgnored(Sound):
    pass


class SoftCapBeforeScale(Sound):
    pass


class SinksIgnored(Sound):
    pass


class AlwaysCausal(Sound):
    pass


class InterleavedHeads(Sound):
    pass


class WholeBlocks(Sound):
    pass


class CausalFromTheStart(Sound):
    pass


class BlocksInARow(Sound):
    pass


class CleansTheCache(Sound):
    pass


class HalfPrecisionSums(Sound):
    pass


class StalePlan(Sound):
    pass


class StaleScale(Sound):
    pass


class StaleWindow(Sound):
    pass


class LongestFirst(Sound):
    pass


class DenseQueries(Sound):
    pass


class WideOutputs(Sound):
    pass


class HostLengths(Sound):
    pass


class OneOrderOnly(Sound):
    pass


class Dither(Sound):
    pass


class NeverPrepared(Sound):
    pass


class OrderOfNobody(Sound):
    layouts = LayoutSupport(orders=("KHBSD", "KBSDH"))


class ClaimsNothing(Sound):
    def check(self, need, facts):
        return (Reason("weekday", "not today", "try tomorrow"),)


class Recordable(Sound):
    capture = "uniform"


class RecordsItsLengths(Recordable):
    pass
