"""SqueezeLLM passes the kit that strangers' schemes pass: tables of each output, and outliers."""

from typing import ClassVar

import torch
from rounding import nearest

from jackfield_compact.bits import pack_bits
from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestDenseAndSparse(QuantizationKit):
    name = method = "squeezellm"

    expected_failures: ClassVar = {
        "test_a_share_takes_its_share_of_memory[row]": "tables belong to outputs, which all ranks have"
    }

    def quantise(self, weight_OI):
        weight_OI = weight_OI.float()
        levels = torch.linspace(0.02, 0.98, 16)
        table = weight_OI.quantile(levels, 1).T.contiguous()
        codes_OI = torch.stack([nearest(*one) for one in zip(weight_OI, table, strict=True)])
        loss_OI = weight_OI - table.gather(1, codes_OI.long())
        is_outlier_OI = loss_OI.abs() > 0.3 * weight_OI.abs().amax(1, keepdim=True)
        is_outlier_OI[0, 0] = True  # so that there is one
        rows, inputs = is_outlier_OI.nonzero(as_tuple=True)
        starts = torch.bincount(rows, minlength=len(weight_OI)).cumsum(0)
        return {
            "qweight": pack_bits(codes_OI.T, 4, 0),
            "lookup_table": table,
            "rows": torch.cat([starts.new_zeros(1), starts]).int(),
            "cols": inputs.int(),
            "vals": loss_OI[rows, inputs],
            "startrows": torch.zeros(1, dtype=torch.int32),
            "shape": torch.tensor(weight_OI.shape),  # for the kit; nobody reads it
        }

    def dequantise(self, tensors):
        num_outputs, num_inputs = tensors["shape"].tolist()
        words = tensors["qweight"].long() & 0xFFFFFFFF
        codes_IO = torch.stack([(words >> 4 * i) & 15 for i in range(8)], 1).flatten(0, 1)
        weight_OI = tensors["lookup_table"].double().gather(1, codes_IO[:num_inputs].T)
        counts = tensors["rows"].diff().long()
        rows = torch.arange(num_outputs).repeat_interleave(counts)
        weight_OI[rows, tensors["cols"].long()] += tensors["vals"].double()
        return weight_OI
