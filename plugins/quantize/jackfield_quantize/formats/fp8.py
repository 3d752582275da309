"""FP8 in blocks as DeepSeek's checkpoints have it: `quant_method` fp8, `weight_scale_inv` multiplies.

weight float8_e4m3fn [O, I], weight_scale_inv float32 [O / 128, I / 128], both rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jackfield_quantize.recipe import Recipe
from jackfield_quantize.schemes.nearest import quantise_fp8_blocks

BLOCK = 128


def fp8_block_tensors(weight_OI: Tensor) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    numbers_OI, scale = quantise_fp8_blocks(weight_OI, BLOCK)
    return {"weight": numbers_OI, "weight_scale_inv": scale}


def fp8_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json."""
    return {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [BLOCK, BLOCK],
        "modules_to_not_convert": ["lm_head"],
    }
