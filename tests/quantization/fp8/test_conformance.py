"""FP8 passes the kit that strangers' schemes pass: stored, and rounded while it loads."""

from typing import ClassVar

import pytest
import torch
from rounding import symmetric

from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestStored(QuantizationKit):
    name = method = "fp8"
    max_loss = 0.05
    settings: ClassVar = {"activation_scheme": "dynamic", "weight_block_size": [128, 128]}

    def quantise(self, weight_OI):
        num_outputs, num_inputs = weight_OI.shape
        scale = torch.ones(-(-num_outputs // 128), -(-num_inputs // 128))
        for row in range(len(scale)):
            for column in range(scale.shape[1]):
                block = self.block(weight_OI, row, column)
                scale[row, column] = block.float().abs().max().clamp_min(1e-6) / 448
        spread = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
        rounded = weight_OI.float() / spread[:num_outputs, :num_inputs]
        return {"weight": rounded.to(torch.float8_e4m3fn), "weight_scale_inv": scale}

    def block(self, weight_OI, row, column):
        return weight_OI[128 * row : 128 * (row + 1), 128 * column : 128 * (column + 1)]

    def dequantise(self, tensors):
        weight_OI = tensors["weight"].double()
        for row, scales in enumerate(tensors["weight_scale_inv"].double()):
            for column, scale in enumerate(scales):
                self.block(weight_OI, row, column).mul_(scale)
        return weight_OI


@pytest.mark.slow
class TestWhileLoading(QuantizationKit):
    name = "fp8"
    max_loss = 0.05

    def dequantise(self, tensors):
        scale_O1 = symmetric(tensors["weight"], 448)
        return (tensors["weight"].float() / scale_O1).to(torch.float8_e4m3fn).double() * scale_O1
