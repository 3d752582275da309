"""Blocks become the numbers that the `gguf` package makes of them."""

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from jackfield_gguf_blocks.formats import FORMATS
from jackfield_gguf_blocks.reader import read_blocks
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.loader import WeightShard


@pytest.mark.parametrize("name", FORMATS)
def test_a_matrix_of_any_bytes_is_the_librarys(name):
    block = FORMATS[name]
    kind = GGMLQuantizationType[name]
    elements = quants.dequantize(np.zeros((1, block.bytes), np.uint8), kind).shape[1]
    rows = np.random.default_rng(3).integers(0, 256, (5, 6 * block.bytes), dtype=np.uint8)
    if name == "NVFP4":  # its scales have no sign
        rows &= 127
    with np.errstate(all="ignore"):  # scales are float16 of any bits, also infinite ones
        expected = quants.dequantize(rows, kind)
    is_number = np.isfinite(expected).reshape(5, 6, elements).all(2, keepdims=True)
    rows = np.where(is_number, rows.reshape(5, 6, -1), 0).reshape(5, -1)
    expected = quants.dequantize(rows, kind)
    part = LinearPart(name="linear", in_size=6 * elements, out_size=5)
    weights = TensorWeights({"linear": {f"weight.{name}": torch.from_numpy(rows)}})
    shard = WeightShard(weights, 0, 1, torch.device("cpu"), torch.float32)

    found = read_blocks(part, shard).dequantise().numpy()

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
