"""The formats of llm-compressor (compressed-tensors), as vLLM and Transformers read them. O outputs, I inputs, G groups.

pack-quantized: weight_packed int32 [O, I * bits / 32], weight_scale [O, G], weight_zero_point int32 [O * bits / 32, G],
weight_shape int64 [2]; int-quantized and float-quantized: weight int8 or float8 [O, I], weight_scale [O, 1];
mxfp4- and nvfp4-pack-quantized: weight_packed uint8 [O, I / 2], the lower nibble first, weight_scale [O, G].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jackfield_compact.bits import pack_bits
from jackfield_quantize.matrices import Float4, Grouped, Matrix, Scaled
from jackfield_quantize.recipe import WHOLE, Recipe
from jackfield_quantize.schemes.float4 import MXFP4_GROUP, NVFP4_GROUP

_VERSION = "0.19.0"  # release of the library whose files have this form
_NAMES = {
    "fp8": "float-quantized",
    "int8": "int-quantized",
    "mxfp4": "mxfp4-pack-quantized",
    "nvfp4": "nvfp4-pack-quantized",
}
# strategy, inputs of a group, and what scales are stored in
_FLOAT4 = {
    "mxfp4": ("group", MXFP4_GROUP, "torch.uint8"),
    "nvfp4": ("tensor_group", NVFP4_GROUP, "torch.float8_e4m3fn"),
}


def compressed_tensors(matrix: Matrix) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    if isinstance(matrix, Scaled):
        return {"weight": matrix.numbers_OI, "weight_scale": matrix.scale_O1.contiguous()}
    if isinstance(matrix, Float4):
        return _float4(matrix)
    assert isinstance(matrix, Grouped)
    found = {
        "weight_packed": pack_bits(matrix.codes_OI, matrix.bits, 1),
        "weight_scale": matrix.scale_OG.contiguous().half(),
        "weight_shape": torch.tensor(matrix.codes_OI.shape),
    }
    if not matrix.symmetric:
        found["weight_zero_point"] = pack_bits(matrix.zero_OG, matrix.bits, 0)
    return found


def _float4(matrix: Float4) -> dict[str, Tensor]:
    codes_OI = matrix.codes_OI
    found = {
        "weight_packed": codes_OI[:, ::2] | codes_OI[:, 1::2] << 4,
        "weight_scale": matrix.scale_OG,
    }
    if matrix.whole is not None:
        found["weight_global_scale"] = torch.tensor([matrix.whole])
    return found


def compressed_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json."""
    name = _NAMES.get(recipe.scheme, "pack-quantized")
    group = {
        "targets": ["Linear"],
        "weights": _weights(recipe),
        "input_activations": _inputs(recipe),
        "output_activations": None,
        "format": name,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": name,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "version": _VERSION,
    }


def _weights(recipe: Recipe) -> dict[str, Any]:
    if recipe.scheme in _FLOAT4:
        strategy, size, scales = _FLOAT4[recipe.scheme]
        return {
            "num_bits": 4,
            "type": "float",
            "symmetric": True,
            "strategy": strategy,
            "group_size": size,
            "scale_dtype": scales,
            "dynamic": False,
        }
    is_grouped = recipe.facts.is_grouped and recipe.group_size != WHOLE
    return {
        "num_bits": recipe.bits,
        "type": "float" if recipe.scheme == "fp8" else "int",
        "symmetric": recipe.symmetric,
        "strategy": "group" if is_grouped else "channel",
        "group_size": recipe.group_size if is_grouped else None,
        "dynamic": False,
    }


def _inputs(recipe: Recipe) -> dict[str, Any] | None:
    """The config of inputs of eight bits that are rounded while the model runs, with a scale for each token."""
    if recipe.bits < 8 or recipe.facts.is_grouped:
        return None
    kind = "float" if recipe.scheme == "fp8" else "int"
    return {"num_bits": 8, "type": kind, "symmetric": True, "strategy": "token", "dynamic": True}
