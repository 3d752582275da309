"""compressed-tensors passes the kit that strangers' schemes pass, packed and naive."""

from typing import ClassVar

import pytest
import torch
from plain_readers import weight_of
from rounding import grid, symmetric

from jackfield_compact.bits import pack_bits
from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestPacked(QuantizationKit):
    name = "compressed_tensors"
    method = "compressed-tensors"
    settings: ClassVar = {"format": "pack-quantized", "weights": {"num_bits": 4, "group_size": 32}}

    def quantise(self, weight_OI):
        codes_OI, scale_OG, zero_OG = grid(weight_OI, 4, 32, sym=False)
        return {
            "weight_packed": pack_bits(codes_OI, 4, 1),
            "weight_scale": scale_OG,
            "weight_zero_point": pack_bits(zero_OG, 4, 0),
            "weight_shape": torch.tensor(weight_OI.shape),
        }

    def dequantise(self, tensors):
        num_outputs, num_inputs = tensors["weight_shape"].tolist()
        whole = torch.tensor([num_outputs, tensors["weight_scale"].shape[1] * 32])
        padding = whole[1] // 8 - tensors["weight_packed"].shape[1]
        packed = torch.nn.functional.pad(tensors["weight_packed"], (0, int(padding)))
        stored = {**tensors, "weight_packed": packed, "weight_shape": whole}
        weight_OI = weight_of(stored, {**self.settings, "quant_method": self.method})
        return torch.from_numpy(weight_OI[:, :num_inputs])


@pytest.mark.slow
class TestEightBits(QuantizationKit):
    name = "compressed_tensors"
    method = "compressed-tensors"
    max_loss = 0.02
    input_unit = 2.0**-5
    settings: ClassVar = {
        "format": "int-quantized",
        "weights": {"num_bits": 8, "strategy": "channel"},
        "input_activations": {
            "num_bits": 8,
            "type": "int",
            "dynamic": True,
            "strategy": "token",
        },
    }

    def quantise(self, weight_OI):
        scale_O1 = symmetric(weight_OI, 127)
        rounded_OI = (weight_OI.float() / scale_O1).round().to(torch.int8)
        return {"weight": rounded_OI, "weight_scale": scale_O1}

    def dequantise(self, tensors):
        return tensors["weight"].double() * tensors["weight_scale"].double()
