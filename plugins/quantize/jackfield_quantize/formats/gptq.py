"""GPTQ's tensors, as AutoGPTQ, GPTQModel, vLLM and Transformers read them. O outputs, I inputs, G groups.

qweight int32 [I * bits / 32, O], qzeros int32 [G, O * bits / 32], scales float16 [G, O], g_idx int32 [I].
Version 1 stores each zero point less one. A zero point of 0 would wrap around there, and readers disagree on what that
means; so checkpoints with zero points are of version 2, which stores them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jackfield_compact.bits import pack_bits
from jackfield_quantize.matrices import Grouped
from jackfield_quantize.recipe import Recipe


def gptq_tensors(matrix: Grouped) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    zero_GO = matrix.zero_OG.T.int() - (1 if matrix.symmetric else 0)
    num_inputs = matrix.codes_OI.shape[1]
    return {
        "qweight": pack_bits(matrix.codes_OI.T, matrix.bits, 0),
        "qzeros": pack_bits(zero_GO, matrix.bits, 1),
        "scales": matrix.scale_OG.T.contiguous().half(),
        "g_idx": (torch.arange(num_inputs) // matrix.group_size).int(),
    }


def gptq_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json."""
    return {
        "quant_method": "gptq",
        "bits": recipe.bits,
        "group_size": recipe.group_size,
        "desc_act": False,  # columns are stored in their own order
        "static_groups": True,
        "sym": recipe.symmetric,
        "lm_head": False,
        "true_sequential": True,
        "checkpoint_format": "gptq" if recipe.symmetric else "gptq_v2",
        "pack_dtype": "int32",
    }
