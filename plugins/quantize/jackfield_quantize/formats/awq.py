"""AWQ's gemm packing, as AutoAWQ, vLLM and Transformers read it. O outputs, I inputs, G groups.

qweight int32 [I, O / 8], qzeros int32 [G, O / 8], scales float16 [G, O]; nibble k of a word is output
8 * word + [0, 2, 4, 6, 1, 3, 5, 7][k].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jackfield_compact.bits import pack_bits
from jackfield_quantize.matrices import Grouped, in_groups
from jackfield_quantize.recipe import Recipe

_OUTPUT_OF_NIBBLE = (0, 2, 4, 6, 1, 3, 5, 7)


def awq_tensors(matrix: Grouped) -> dict[str, Tensor]:
    """The stored tensors by parameter."""
    return {
        "qweight": _packed(matrix.codes_OI.T),
        "qzeros": _packed(matrix.zero_OG.T),
        "scales": matrix.scale_OG.T.contiguous().half(),
    }


def awq_config(recipe: Recipe) -> Mapping[str, Any]:
    """The `quantization_config` of config.json."""
    return {
        "quant_method": "awq",
        "bits": recipe.bits,
        "group_size": recipe.group_size,
        "zero_point": not recipe.symmetric,
        "version": "gemm",
        "modules_to_not_convert": ["lm_head"],
    }


def _packed(codes: Tensor) -> Tensor:
    """Eight codes in each word, in the order of the gemm packing: int32 [rows, O / 8]."""
    nibbles = in_groups(codes, 8)[..., list(_OUTPUT_OF_NIBBLE)].flatten(1)
    return pack_bits(nibbles, 4, 1)
