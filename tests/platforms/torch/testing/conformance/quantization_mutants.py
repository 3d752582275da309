"""The cards of schemes with one planted fault each; faulty_linear.py has what runs."""

from jackfield.decision import Reason
from jackfield_torch.interfaces.quantization import QuantizationScheme


class Sound(QuantizationScheme):
    """Weights of four bits, two in a byte, with a scale for each group of 128 inputs."""

    features = frozenset({"quantization.method=nibbles"})

    def check(self, need, facts):
        if need.method == "nibbles":
            return ()
        return (Reason("method", f"reads nibbles, the checkpoint is {need.method}"),)

    def can_fuse(self, parts):
        return len({part.bias for part in parts}) == 1

    def create(self, parts, shard):
        import faulty_linear  # beside this file

        return getattr(faulty_linear, type(self).__name__)(parts, shard)


class ReadsItsSettings(Sound):
    features = Sound.features | {"quantization.settings"}

    def check(self, need, facts):
        bits = need.settings.get("bits")
        wrong = need.method == "nibbles" and bits != 4
        return (
            (Reason("bits", f"reads 4 bits, not {bits}"),) if wrong else super().check(need, facts)
        )

    def can_fuse(self, parts):
        return all(part.settings == {"bits": 4} for part in parts) and super().can_fuse(parts)

    def create(self, parts, shard):
        import faulty_linear

        assert all(part.settings == {"bits": 4} for part in parts)
        return faulty_linear.Sound(parts, shard)


class FirstScaleOnly(Sound):
    pass


class NibblesSwapped(Sound):
    pass


class TransposedShare(Sound):
    pass


class ScalesOfRankZero(Sound):
    pass


class BiasOnEveryRank(Sound):
    pass


class CopiesIgnored(Sound):
    pass


class PartsSwapped(Sound):
    pass


class LastOddColumnDropped(Sound):
    pass


class RawRefusal(Sound):
    pass


class WideOutputs(Sound):
    pass


class NoRows(Sound):
    pass


class KeepsWhole(Sound):
    pass


class DenseInputs(Sound):
    pass


class ScalesItsInput(Sound):
    pass


class RemembersItsInput(Sound):
    pass


class ZerosForMissing(Sound):
    pass


class RoundsItsInput(Sound):
    pass


class RefusesWhatItFuses(Sound):
    pass


class FusesMixedBiases(Sound):
    def can_fuse(self, parts):
        return True


class ReadsAnything(Sound):
    features = frozenset({"*"})

    def check(self, need, facts):
        return ()


class ClaimsNothing(Sound):
    def check(self, need, facts):
        return (Reason("weekday", "not today", "try tomorrow"),)
