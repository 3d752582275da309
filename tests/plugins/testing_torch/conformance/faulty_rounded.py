"""A linear over weights and inputs of eight bits, and the same with one fault each. T tokens, I inputs, O outputs."""

import torch
from torch.nn.functional import linear

from jackfield_torch.interfaces.linear import Linear

FORMATS = {"float8": (torch.float8_e4m3fn, 448.0), "int8": (torch.int8, 127.0)}


def rounded(x, axis, name="float8"):
    """Codes and scales: the largest number of each row, or of all, becomes the largest of the format."""
    dtype, largest = FORMATS[name]
    scale = x.abs().amax(axis, keepdim=True).clamp_min(1e-12) / largest
    codes = x / scale
    return (codes.round() if name == "int8" else codes).float().to(dtype), scale


def pack(weight_OI, axis=1, name="float8"):
    codes_OI, scale = rounded(weight_OI.double(), axis, name)
    return {"weight": codes_OI, "weight_scale": scale.float()}


def unpack(tensors):
    return tensors["weight"].double() * tensors["weight_scale"].double()


class Rounded(Linear):
    """One scale for each output or for the whole part, and one for each token."""

    def __init__(self, parts, shard):
        weights, scales, biases = zip(*(self.read(part, shard) for part in parts), strict=True)
        self.format = "int8" if weights[0].dtype == torch.int8 else "float8"
        self.weight_OI = torch.cat([weight_OI.float() for weight_OI in weights])
        self.scale_O = self.join(scales)
        self.bias_O = torch.cat(biases)

    def read(self, part, shard):
        weight_OI = shard.read(part, "weight")
        scale_O = shard.read(part, "weight_scale").flatten().expand(part.out_size)
        bias_O = shard.read(part, "bias").float() if part.bias else torch.zeros(part.out_size)
        if part.split == "row":
            bias_O = bias_O * (shard.rank == 0)
            return shard.cut(weight_OI, 1).clone(), scale_O.clone(), bias_O
        if part.split == "column":
            cut = (shard.cut(x, 0, part.copies).clone() for x in (weight_OI, scale_O, bias_O))
            return tuple(cut)
        return weight_OI, scale_O, bias_O

    def join(self, scales):
        return torch.cat(scales)

    def round(self, x_TI):
        return rounded(x_TI, -1, self.format)

    def __call__(self, x_TI):
        codes_TI, scale_T1 = self.round(x_TI.float())
        y_TO = linear(codes_TI.float(), self.weight_OI) * scale_T1 * self.scale_O
        return (y_TO + self.bias_O).to(x_TI.dtype)


class ZeroRows(Rounded):
    """Divides zeros by a scale of zero."""

    def round(self, x_TI):
        codes_TI, scale_T1 = super().round(x_TI)
        return codes_TI.float() / (x_TI != 0).any(-1, keepdim=True), scale_T1


class Saturates(Rounded):
    """Inputs have no scale."""

    def round(self, x_TI):
        return x_TI.clamp(-448, 448).to(torch.float8_e4m3fn), torch.ones(len(x_TI), 1)


class OneInputScale(Rounded):
    """For all tokens of a step."""

    def round(self, x_TI):
        return rounded(x_TI, (0, 1)) if len(x_TI) else super().round(x_TI)


class FirstScaleOfFused(Rounded):
    """Takes that of the first part for all."""

    def join(self, scales):
        return scales[0][:1].expand(sum(map(len, scales)))
