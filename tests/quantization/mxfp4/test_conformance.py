"""MXFP4 passes the kit that strangers' schemes pass, and gives the weights that Transformers makes of gpt-oss' blocks."""

from typing import ClassVar

import torch
from rounding import nearest

from jackfield.errors import CheckpointError
from jackfield.model_spec import SplitGroups, Transpose
from jackfield_mxfp4.scheme import Mxfp4Scheme
from jackfield_testing_torch.conformance.quantization import QuantizationKit
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.loader import WeightShard

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E2M1 = torch.cat([E2M1, -E2M1])


def weights_of(blocks, scales):
    """What Transformers makes of them. Ranks of tests/quantization/test_ranks.py import this file and do without."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    return convert_moe_packed_tensors(blocks[None], scales[None], dtype=torch.float32)[0].T


class TestMxfp4(QuantizationKit):
    name = method = "mxfp4"
    settings: ClassVar = {}

    def quantise(self, weight_OI):
        if weight_OI.shape[1] % 32:
            raise CheckpointError("a row is whole blocks of 32 inputs")
        blocks = weight_OI.float().unflatten(1, (-1, 32))
        exponent = (blocks.abs().amax(2).clamp_min(1e-30) / 6).log2().ceil().clamp(-127, 127)
        codes = nearest(blocks * 2.0 ** -exponent.unsqueeze(2), E2M1)
        return {
            "blocks": codes[..., ::2] | codes[..., 1::2] << 4,
            "scales": (exponent + 127).to(torch.uint8),
        }

    def dequantise(self, tensors):
        return weights_of(tensors["blocks"], tensors["scales"])


class Interleaved(TensorWeights):
    def transforms(self, module):
        return (Transpose(), SplitGroups(4, 1, 2))  # the second of each pair of rows


def test_gate_and_up_take_turns_in_the_rows_of_the_blocks():
    blocks = torch.randint(0, 256, (8, 2, 16), dtype=torch.uint8)
    scales = torch.randint(120, 130, (8, 2), dtype=torch.uint8)
    weights = Interleaved({"up": {"blocks": blocks, "scales": scales}})
    shard = WeightShard(weights, 0, 1, torch.device("cpu"), torch.float32)
    part = LinearPart(name="up", in_size=64, out_size=4)

    found = Mxfp4Scheme().load(part, shard).dequantise()

    assert torch.equal(found, weights_of(blocks, scales)[1::2])
