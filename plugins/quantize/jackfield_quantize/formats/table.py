"""All formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jackfield_quantize.formats.awq import awq_config, awq_tensors
from jackfield_quantize.formats.bitsandbytes import bitsandbytes_config, bitsandbytes_tensors
from jackfield_quantize.formats.compressed_tensors import compressed_config, compressed_tensors
from jackfield_quantize.formats.fp8 import fp8_block_tensors, fp8_config
from jackfield_quantize.formats.gptq import gptq_config, gptq_tensors
from jackfield_quantize.formats.squeezellm import squeezellm_config, squeezellm_tensors
from jackfield_quantize.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Format:
    """Two functions: from a matrix (for fp8 and bitsandbytes, a plain weight) to tensors, and from a recipe to the config."""

    tensors: Callable[[Any], dict[str, Tensor]]
    config: Callable[[Recipe], Mapping[str, Any]]


FORMATS = {
    "gptq": Format(gptq_tensors, gptq_config),
    "awq": Format(awq_tensors, awq_config),
    "squeezellm": Format(squeezellm_tensors, squeezellm_config),
    "compressed-tensors": Format(compressed_tensors, compressed_config),
    "fp8": Format(fp8_block_tensors, fp8_config),
    "bitsandbytes": Format(bitsandbytes_tensors, bitsandbytes_config),
}
