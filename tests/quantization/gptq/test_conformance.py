"""GPTQ passes the kit that strangers' schemes pass, in the forms that differ most."""

from typing import ClassVar

import pytest
import torch
from plain_readers import weight_of
from rounding import grid

from jackfield_compact.bits import pack_bits
from jackfield_testing_torch.conformance.quantization import QuantizationKit


class GptqKit(QuantizationKit):
    method = "gptq"
    bits, group_size, sym = 4, 64, True

    def quantise(self, weight_OI):
        order = self.order(weight_OI.shape[1])
        codes_OI, scale_OG, zero_OG = grid(
            weight_OI[:, order], self.bits, self.group_size, sym=self.sym, zero_from=1
        )
        group_I = torch.arange(weight_OI.shape[1]) // self.group_size
        back = order.argsort()
        return {
            "qweight": pack_bits(codes_OI[:, back].T, self.bits, 0),
            "qzeros": pack_bits(zero_OG.T - 1, self.bits, 1),
            "scales": scale_OG.T.contiguous(),
            "g_idx": group_I[back].int(),
        }

    def order(self, num_inputs):
        return torch.arange(num_inputs)

    def dequantise(self, tensors):
        num_inputs = len(tensors["g_idx"])
        weight_OI = weight_of(tensors, {**self.settings, "quant_method": self.method})
        return torch.from_numpy(weight_OI[:, :num_inputs])


class TestSymmetric(GptqKit):
    name = "gptq"
    settings: ClassVar = {"bits": 4, "group_size": 64}


@pytest.mark.slow
class TestThreeBitsWithZeroPoints(GptqKit):
    name = "gptq"
    bits, group_size, sym = 3, 32, False
    settings: ClassVar = {"bits": 3, "group_size": 32}


@pytest.mark.slow
class TestActOrder(GptqKit):
    """Each input has a group, in no order."""

    name = "gptq"
    group_size = 512  # its scales are on every rank
    sym = False
    settings: ClassVar = {"bits": 4, "group_size": 512, "desc_act": True}

    def order(self, num_inputs):
        return torch.randperm(num_inputs, generator=torch.Generator().manual_seed(num_inputs))
