"""bitsandbytes passes the kit that strangers' schemes pass: NF4 with blocks that run on over outputs."""

import json
from typing import ClassVar

import torch
from plain_readers import weight_of
from rounding import nearest

from jackfield.errors import CheckpointError
from jackfield_testing_torch.conformance.quantization import QuantizationKit

# Dettmers et al. 2023, appendix E: quantiles of a normal distribution
NF4 = torch.tensor(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
STATE = "weight.quant_state.bitsandbytes__nf4"


class TestNf4(QuantizationKit):
    name = method = "bitsandbytes"
    settings: ClassVar = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}

    def quantise(self, weight_OI):
        if weight_OI.numel() % 64:
            raise CheckpointError("a last block that is smaller is none of the kit's")
        blocks = weight_OI.float().reshape(-1, 64)
        absmax = blocks.abs().amax(1)
        codes = nearest(blocks / absmax.clamp_min(1e-9).unsqueeze(1), NF4).flatten()
        state = {"quant_type": "nf4", "blocksize": 64, "shape": list(weight_OI.shape)}
        return {
            "weight": (codes[::2] << 4 | codes[1::2]).unsqueeze(1),
            "weight.absmax": absmax,
            "weight.quant_map": NF4,
            STATE: torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
        }

    def dequantise(self, tensors):
        return torch.from_numpy(weight_of(tensors, {"quant_method": self.method}))
