"""A linear over four-bit weights, and the same with one fault each. T tokens, I inputs, O outputs, G groups."""

import torch
from torch.nn.functional import linear

from jackfield.errors import CheckpointError
from jackfield_torch.interfaces.linear import Linear

GROUP = 128  # inputs with one scale


def pack(weight_OI):
    """qweight: inputs 2 i and 2 i + 1 in the low and the high half of byte i, 8 added; scale: [O, G]."""
    if weight_OI.shape[1] % GROUP:
        raise CheckpointError(f"{weight_OI.shape[1]} inputs are no multiple of {GROUP}; pad them")
    groups_OGI = weight_OI.double().unflatten(1, (-1, GROUP))
    scale_OG1 = groups_OGI.abs().amax(2, keepdim=True).clamp_min(1e-9) / 7
    codes_OI = (groups_OGI / scale_OG1).round().add(8).to(torch.uint8).flatten(1)
    qweight = codes_OI[:, ::2] | codes_OI[:, 1::2] << 4
    return {"qweight": qweight, "scale": scale_OG1.squeeze(2).float()}


def unpack(tensors):
    low, high = tensors["qweight"] & 15, tensors["qweight"] >> 4
    codes_OI = torch.stack([low, high], 2).flatten(1).double() - 8
    return (codes_OI.unflatten(1, (-1, GROUP)) * tensors["scale"].double().unsqueeze(2)).flatten(1)


class Sound(Linear):
    def __init__(self, parts, shard):
        self.shard = shard
        self.weight_OI = torch.cat([self.weight(part) for part in parts]).to(shard.dtype)
        biases = [self.bias(part) for part in parts if part.bias]
        self.bias_O = torch.cat(biases).to(shard.dtype) if biases else None
        del self.shard

    def __call__(self, x_TI):
        return linear(x_TI, self.weight_OI, self.bias_O)

    def weight(self, part):
        tensors = {name: self.share(part, name) for name in ("qweight", "scale")}
        return self.unpack(tensors)

    def share(self, part, name):
        whole = self.shard.read(part, name)
        if part.split == "row":
            return self.cut_inputs(whole, name)
        return self.cut_outputs(whole, part) if part.split == "column" else whole

    def cut_inputs(self, whole, name):
        if name == "qweight" and whole.shape[1] // self.shard.num_ranks % (GROUP // 2):
            raise CheckpointError(f"{self.shard.num_ranks} ranks would cut groups of {GROUP}")
        return self.shard.cut(whole, 1)

    def cut_outputs(self, whole, part):
        return self.shard.cut(whole, 0, part.copies)

    def unpack(self, tensors):
        return unpack(tensors)

    def bias(self, part):
        whole = self.shard.read(part, "bias")
        if part.split == "column":
            return self.cut_outputs(whole, part)
        return whole if self.adds_bias(part) else torch.zeros_like(whole)

    def adds_bias(self, part):
        return part.split == "none" or self.shard.rank == 0


class FirstScaleOnly(Sound):
    def unpack(self, tensors):
        return unpack(tensors | {"scale": tensors["scale"][:, :1].expand_as(tensors["scale"])})


class TransposedShare(Sound):
    def unpack(self, tensors):
        weight_OI = unpack(tensors)
        return weight_OI.T.reshape(weight_OI.shape) if self.shard.num_ranks > 1 else weight_OI


class ScalesOfRankZero(Sound):
    def cut_inputs(self, whole, name):
        share = super().cut_inputs(whole, name)
        return whole[:, : share.shape[1]] if name == "scale" else share


class BiasOnEveryRank(Sound):
    def adds_bias(self, part):
        return True


class CopiesIgnored(Sound):
    """Takes the share of its rank as if ranks in a row had different ones."""

    def cut_outputs(self, whole, part):
        shares = self.shard.num_ranks // part.copies
        return whole.chunk(shares)[self.shard.rank % shares]


class PartsSwapped(Sound):
    def __init__(self, parts, shard):
        super().__init__([*parts[:-2], *reversed(parts[-2:])], shard)


class RawRefusal(Sound):
    def cut_inputs(self, whole, name):
        assert whole.shape[1] % (self.shard.num_ranks * GROUP // 2) == 0 or name == "scale"
        return self.shard.cut(whole, 1)


class WideOutputs(Sound):
    def __call__(self, x_TI):
        return super().__call__(x_TI).double()


class KeepsWhole(Sound):
    def share(self, part, name):
        kept = super().share(part, name)
        self.kept = [*getattr(self, "kept", []), kept]
        return kept


class DenseInputs(Sound):
    def __call__(self, x_TI):
        return super().__call__(x_TI.as_strided(x_TI.shape, (x_TI.shape[1], 1)))


class ScalesItsInput(Sound):
    def __call__(self, x_TI):
        return super().__call__(x_TI.mul_(0.5)) * 2


class RoundsItsInput(Sound):
    """Multiplies in float8, whatever the dtype."""

    def __call__(self, x_TI):
        return super().__call__(x_TI.to(torch.float8_e4m3fn).to(x_TI.dtype))


class FusesMixedBiases(Sound):
    pass


class ReadsAnything(Sound):
    pass


class SharedOutput(Sound):
    """All linears of one shape write into one buffer."""

    outputs = {}  # noqa: RUF012

    def __call__(self, x_TI):
        y_TO = super().__call__(x_TI)
        return self.outputs.setdefault((y_TO.shape, y_TO.dtype), y_TO.clone()).copy_(y_TO)


class OwnOutput(SharedOutput):
    """The next call overwrites the result of the last."""

    def __init__(self, parts, shard):
        super().__init__(parts, shard)
        self.outputs = {}


class RowsNineToSixteen(Sound):
    """The kernel for so many rows leaves out the last."""

    def __call__(self, x_TI):
        y_TO = super().__call__(x_TI)
        y_TO[-1:] *= not 9 <= len(x_TI) <= 16
        return y_TO


class HalfPrecisionSums(Sound):
    def __call__(self, x_TI):
        parts = zip(x_TI.split(4, 1), self.weight_OI.split(4, 1), strict=True)
        y_TO = sum(x_TI @ weight_OI.T for x_TI, weight_OI in parts)
        return y_TO if self.bias_O is None else y_TO + self.bias_O


class ScalesOfFloat16(Sound):
    """Takes small scales for zero."""

    def unpack(self, tensors):
        scale_OG = tensors["scale"]
        return unpack(tensors | {"scale": scale_OG * (scale_OG > 2.0**-14)})


class KeepsACopy(Sound):
    """Of all that it read, on every rank."""

    def share(self, part, name):
        self.kept = [*getattr(self, "kept", []), self.shard.read(part, name).clone()]
        return super().share(part, name)


class SuperBlocks(Sound):
    """A format that is cut between blocks of 256 inputs only: no fault."""

    def cut_inputs(self, whole, name):
        size = whole.shape[1] * (2 if name == "qweight" else GROUP)
        if size // self.shard.num_ranks % 256:
            raise CheckpointError(f"{self.shard.num_ranks} ranks would cut blocks of 256")
        return super().cut_inputs(whole, name)
