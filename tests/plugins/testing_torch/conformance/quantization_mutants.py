"""The cards of schemes with one planted fault each; faulty_linear.py has what runs."""

from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield_torch.interfaces.quantization import QuantizationScheme

GROUP = 128  # inputs with one scale


class Sound(QuantizationScheme):
    """Weights of four bits, two in a byte, with a scale for each group of 128 inputs."""

    features = frozenset({"quantization.method=nibbles"})

    def check(self, need, facts):
        if need.method != "nibbles":
            return (Reason("method", f"reads nibbles, the checkpoint is {need.method}"),)
        try:
            for linear in need.stored:
                self.check_stored(linear)
        except CheckpointError as error:
            return (Reason("stored", str(error)),)
        return ()

    def check_stored(self, linear):
        linear.expect("qweight", linear.out_size, linear.in_size // 2)
        linear.expect("scale", linear.out_size, linear.in_size // GROUP)

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


class FusesMixedBiases(Sound):
    def can_fuse(self, parts):
        return True


class ReadsAnything(Sound):
    features = frozenset({"*"})

    def check(self, need, facts):
        return ()


class LooksAtNoHeader(Sound):
    def check_stored(self, linear):
        pass


class MissesScales(Sound):
    def check_stored(self, linear):
        linear.expect("qweight", linear.out_size, linear.in_size // 2)


class ClaimsNothing(Sound):
    def check(self, need, facts):
        return (Reason("weekday", "not today", "try tomorrow"),)


class Rounded(Sound):
    """Weights of eight bits, whose inputs are rounded too."""

    def check_stored(self, linear):
        linear.expect("weight", linear.out_size, linear.in_size)
        linear.tensor("weight_scale")

    def can_fuse(self, parts):
        return True

    def create(self, parts, shard):
        import faulty_rounded  # beside this file

        return getattr(faulty_rounded, type(self).__name__)(parts, shard)


class ZeroRows(Rounded):
    pass


class Saturates(Rounded):
    pass


class OneInputScale(Rounded):
    pass


class FirstScaleOfFused(Rounded):
    pass


class SuperBlocks(Sound):
    """Groups of 256 inputs, through which no rank may cut."""

    def create(self, parts, shard):
        import faulty_linear

        return faulty_linear.SuperBlocks(parts, shard)


def __getattr__(name):
    """The card of a fault that only shows in what runs."""
    if name.startswith("_"):
        raise AttributeError(name)
    return type(name, (Sound,), {"__module__": __name__})
