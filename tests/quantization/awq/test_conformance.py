"""AWQ passes the kit that strangers' schemes pass."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from plain_readers import weight_of
from rounding import grid

from jackfield.errors import CheckpointError
from jackfield_compact.bits import pack_bits
from jackfield_testing_torch.conformance.quantization import QuantizationKit

ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # the output in each nibble of a word


def words(codes):
    return pack_bits(codes.reshape(len(codes), -1, 8)[..., ORDER].flatten(1), 4, 1)


class TestGemm(QuantizationKit):
    name = method = "awq"
    settings: ClassVar = {"bits": 4, "group_size": 64, "version": "gemm"}

    def quantise(self, weight_OI):
        if len(weight_OI) % 8:
            raise CheckpointError("words hold eight outputs")
        codes_OI, scale_OG, zero_OG = grid(weight_OI, 4, 64, sym=False)
        return {
            "qweight": words(codes_OI.T),
            "qzeros": words(zero_OG.T),
            "scales": scale_OG.T.contiguous(),
        }

    def dequantise(self, tensors):
        num_inputs = len(tensors["qweight"])
        rest = -num_inputs % 64  # the plain reader cuts equal groups
        whole = {**tensors, "qweight": F.pad(tensors["qweight"], (0, 0, 0, rest))}
        weight_OI = weight_of(whole, {**self.settings, "quant_method": "awq"})
        return torch.from_numpy(weight_OI[:, :num_inputs])
