"""NVFP4 passes the kit that strangers' schemes pass."""

from typing import ClassVar

import torch
from plain_readers import E2M1
from rounding import nearest

from jackfield.errors import CheckpointError
from jackfield_testing_torch.conformance.quantization import QuantizationKit

VALUES = torch.from_numpy(E2M1)


class TestNvfp4(QuantizationKit):
    name = "nvfp4"
    method = "modelopt"
    settings: ClassVar = {"quant_algo": "NVFP4", "group_size": 16}

    def quantise(self, weight_OI):
        if weight_OI.shape[1] % 16:
            raise CheckpointError("groups are of 16 inputs")
        grouped = weight_OI.float().reshape(len(weight_OI), -1, 16)
        largest_OG = grouped.abs().amax(2)
        whole = largest_OG.max() / (6 * 448)
        scale_OG = (largest_OG / 6 / whole).to(torch.float8_e4m3fn)
        step = (scale_OG.float() * whole).clamp_min(1e-9).unsqueeze(2)
        codes = nearest(grouped / step, VALUES.float()).flatten(1)
        return {
            "weight": codes[:, ::2] | codes[:, 1::2] << 4,
            "weight_scale": scale_OG,
            "weight_scale_2": whole,
        }

    def dequantise(self, tensors):
        codes = torch.stack([tensors["weight"] & 15, tensors["weight"] >> 4], 2).flatten(1)
        scale_OI = tensors["weight_scale"].double().repeat_interleave(16, 1)
        return VALUES[codes.int()] * scale_OI * tensors["weight_scale_2"].double()
