"""NF4 as bitsandbytes stores it, which Transformers and vLLM read through that library. O outputs, I inputs.

weight uint8 [O * I / 2, 1], the higher nibble first; weight.absmax float32, a scale for each 64 weights in a row;
weight.quant_map float32 [16]; weight.quant_state.bitsandbytes__nf4: JSON as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jackfield_quantize.recipe import Recipe
from jackfield_quantize.schemes.float4 import NF4, quantise_nf4

_BLOCK = 64  # weights in a row


def bitsandbytes_tensors(weight_OI: Tensor) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    codes, largest = quantise_nf4(weight_OI, _BLOCK)
    state = {
        "quant_type": "nf4",
        "blocksize": _BLOCK,
        "dtype": "bfloat16",
        "shape": list(weight_OI.shape),
    }
    return {
        "weight": (codes[::2] << 4 | codes[1::2]).unsqueeze(1),
        "weight.absmax": largest,
        "weight.quant_map": torch.tensor(NF4),
        "weight.quant_state.bitsandbytes__nf4": torch.tensor(
            list(json.dumps(state).encode()), dtype=torch.uint8
        ),
    }


def bitsandbytes_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json."""
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "load_in_8bit": False,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_use_double_quant": False,
        "llm_int8_skip_modules": ["lm_head"],
    }
