"""Blocks of GGUF pass the kit that strangers' schemes pass: Q4_1, whose rows are runs of 32 inputs."""

import torch
from gguf import GGMLQuantizationType, quants

from jackfield.errors import CheckpointError
from jackfield_testing_torch.conformance.quantization import QuantizationKit

PARAMETER = "weight.Q4_1"


class TestGgufBlocks(QuantizationKit):
    name = "gguf_blocks"

    def quantise(self, weight_OI):
        if weight_OI.shape[1] % 32:
            raise CheckpointError("a row is whole blocks of 32 elements")
        packed = quants.quantize(weight_OI.float().numpy(), GGMLQuantizationType.Q4_1)
        return {PARAMETER: torch.from_numpy(packed)}

    def dequantise(self, tensors):
        plain = quants.dequantize(tensors[PARAMETER].numpy(), GGMLQuantizationType.Q4_1)
        return torch.from_numpy(plain)
