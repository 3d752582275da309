"""Hybrid files of SqueezeLLM hold a few whole outputs beside the sparse weights."""

import torch
from plain_readers import weight_of

from jackfield_compact.bits import pack_bits
from jackfield_squeezellm.reader import read_squeezellm
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.loader import WeightShard

NUM_OUTPUTS, NUM_INPUTS = 6, 64


def test_whole_outputs_are_added_to_tables_and_sparse_weights():
    torch.manual_seed(0)
    codes_OI = torch.randint(0, 8, (NUM_OUTPUTS, NUM_INPUTS), dtype=torch.uint8)
    tensors = {
        "qweight": pack_bits(codes_OI.T, 3, 0),
        "lookup_table": torch.randn(NUM_OUTPUTS, 8),
        "rows": torch.tensor([0, 1, 1, 3, 3, 3, 3], dtype=torch.int32),
        "cols": torch.tensor([5, 0, 63], dtype=torch.int32),
        "vals": torch.randn(3),
        "full_rows": torch.randn(NUM_INPUTS, 2),
        "full_row_indices": torch.tensor([4, 2], dtype=torch.int32),
    }
    shard = WeightShard(TensorWeights({"x": tensors}), 0, 1, torch.device("cpu"), torch.float32)
    part = LinearPart(name="x", in_size=NUM_INPUTS, out_size=NUM_OUTPUTS)

    found = read_squeezellm(part, shard).dequantise()

    expected = torch.from_numpy(weight_of(tensors, {"quant_method": "squeezellm"}))
    torch.testing.assert_close(found.double(), expected.double())
