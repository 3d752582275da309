"""GPTQ passes the kit that strangers' schemes pass, in the forms that differ most."""

from types import MappingProxyType

import pytest
import torch

from jackfield_compact.bits import pack_bits
from jackfield_testing_torch.conformance.quantization import QuantizationKit


def stored(weight_OI, bits, size, *, sym):
    """qweight, qzeros, scales of round-to-nearest; what they are worth is in `worth`."""
    weight_OI = weight_OI.float()
    group_I = torch.arange(weight_OI.shape[1]) // size
    num_groups = int(group_I.max()) + 1
    top = 2**bits - 1
    groups = [weight_OI[:, group_I == g] for g in range(num_groups)]
    low = torch.stack([g.amin(1).clamp_max(0) for g in groups], 1)
    high = torch.stack([g.amax(1).clamp_min(0) for g in groups], 1)
    if sym:
        high = torch.maximum(high, -low) * top / (top - 1)
        low = -high
    scale_OG = ((high - low) / top).clamp_min(1e-4).half()
    zero_OG = torch.full_like(low, 2 ** (bits - 1)) if sym else (-low / scale_OG).round()
    zero_OG = zero_OG.clamp(1, top)
    codes_OI = (weight_OI / scale_OG.float()[:, group_I]).round() + zero_OG[:, group_I]
    return {
        "qweight": pack_bits(codes_OI.clamp(0, top).T, bits, 0),
        "qzeros": pack_bits(zero_OG.T - 1, bits, 1),
        "scales": scale_OG.T.contiguous(),
        "g_idx": group_I.int(),
    }


def worth(tensors, bits):
    """By digits of the words: independent of the reader."""

    def digits(words, axis):
        words = words.movedim(axis, -1).long() & 0xFFFFFFFF
        ones = (words.unsqueeze(-1) >> torch.arange(32)) & 1
        ones = ones.flatten(-2)
        ones = ones[..., : ones.shape[-1] // bits * bits].unflatten(-1, (-1, bits))
        return (ones << torch.arange(bits)).sum(-1)

    group_I = tensors["g_idx"].long()
    num_inputs, num_outputs = len(group_I), tensors["scales"].shape[1]
    codes_OI = digits(tensors["qweight"], 0)[:, :num_inputs]
    zero_GO = digits(tensors["qzeros"], 1)[:, :num_outputs] + 1
    scale_OI = tensors["scales"].double().T[:, group_I]
    return (codes_OI - zero_GO.T[:, group_I]) * scale_OI


class GptqKit(QuantizationKit):
    name = method = "gptq"
    bits, group_size, sym = 4, 64, True

    def quantise(self, weight_OI):
        return stored(weight_OI, self.bits, self.group_size, sym=self.sym)

    def dequantise(self, tensors):
        return worth(tensors, self.bits)


class TestSymmetric(GptqKit):
    settings = MappingProxyType({"bits": 4, "group_size": 64})


@pytest.mark.slow
class TestThreeBitsWithZeroPoints(GptqKit):
    bits, group_size, sym = 3, 32, False
    settings = MappingProxyType({"bits": 3, "group_size": 32})


@pytest.mark.slow
class TestActOrder(GptqKit):
    """Each input has a group, in no order."""

    group_size = 512  # its scales are on every rank
    settings = MappingProxyType({"bits": 4, "group_size": 512, "desc_act": True})

    def quantise(self, weight_OI):
        num_inputs = weight_OI.shape[1]
        order = torch.randperm(num_inputs, generator=torch.Generator().manual_seed(num_inputs))
        tensors = stored(weight_OI[:, order], self.bits, self.group_size, sym=False)
        back = order.argsort()
        codes = torch.zeros(num_inputs, len(weight_OI), dtype=torch.int64)
        words = tensors["qweight"].long() & 0xFFFFFFFF
        for i in range(num_inputs):
            codes[i] = (words[i // 8] >> 4 * (i % 8)) & 15
        return {
            **tensors,
            "qweight": pack_bits(codes[back], 4, 0),
            "g_idx": tensors["g_idx"][back],
        }
