"""SqueezeLLM's tensors, as its repository and old releases of vLLM read them. O outputs, I inputs, K table entries.

qweight int32 [I * bits / 32, O], lookup_table float32 [O, K]; outliers as a sparse matrix in rows over [O, I]: rows int32
[O + 1], cols int32, vals float32, which are added to what the tables give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jackfield_compact.bits import pack_bits
from jackfield_quantize.matrices import Tabled
from jackfield_quantize.recipe import Recipe


def squeezellm_tensors(matrix: Tabled) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    found = {
        "qweight": pack_bits(matrix.codes_OI.T, matrix.bits, 0),
        "lookup_table": matrix.table_OK.contiguous(),
    }
    if matrix.outliers_OI is not None:
        outputs, inputs = matrix.outliers_OI.nonzero(as_tuple=True)
        counts = torch.bincount(outputs, minlength=len(matrix.outliers_OI))
        found["rows"] = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
        found["cols"] = inputs.int()
        found["vals"] = matrix.outliers_OI[outputs, inputs]
    return found


def squeezellm_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json. The released code reads `wbits`."""
    return {"quant_method": "squeezellm", "wbits": recipe.bits, "bits": recipe.bits}
