"""torchao passes the kit that strangers' schemes pass."""

from typing import ClassVar

import torch
from rounding import symmetric

from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestInt8(QuantizationKit):
    name = method = "torchao"
    max_loss = 0.02
    settings: ClassVar = {"quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}

    def quantise(self, weight_OI):
        scale_O1 = symmetric(weight_OI, 127)
        rounded_OI = (weight_OI.float() / scale_O1).round().to(torch.int8)
        zeros = torch.zeros(len(weight_OI), 1, dtype=torch.int8)
        return {
            "_weight_qdata": rounded_OI,
            "_weight_scale": scale_O1,
            "_weight_zero_point": zeros,
        }

    def dequantise(self, tensors):
        return tensors["_weight_qdata"].double() * tensors["_weight_scale"].double()
