"""The order in which each scheme goes through a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from jackfield_quantize.forward import awq_layer, gptq_layer, sweep_forward
from jackfield_quantize.matrices import Matrix
from jackfield_quantize.recipe import Recipe
from jackfield_quantize.schemes.float4 import quantise_mxfp4, quantise_nvfp4
from jackfield_quantize.schemes.nearest import quantise_fp8, quantise_int8, quantise_nearest
from jackfield_quantize.stored import read_matrix
from jackfield_quantize.tables import sweep_tables
from jackfield_quantize.task import Made, Task, group_size

_SIMPLE: Mapping[str, Callable[[Tensor], Matrix]] = {
    "int8": quantise_int8,
    "fp8": quantise_fp8,
    "mxfp4": quantise_mxfp4,
    "nvfp4": quantise_nvfp4,
}
_OWN_BLOCKS = ("fp8", "bitsandbytes")  # formats whose blocks are those of the stored matrix


def sweep_weights(task: Task) -> None:
    """Quantise each matrix by itself, without calibration."""
    done = task.folder.layers()
    task.begin("layers", task.num_layers, len(done))
    for index, modules in enumerate(task.modules):
        if index not in done:
            made = Made()
            for module in modules:
                weight_OI = read_matrix(task.checkpoint, module)
                made.stored[module.name] = _nearest(task.recipe, weight_OI)
            task.write(index, made)
            task.step()


def _nearest(recipe: Recipe, weight_OI: Tensor) -> Matrix | Tensor:
    if recipe.format in _OWN_BLOCKS:
        return weight_OI
    if recipe.scheme in _SIMPLE:
        return _SIMPLE[recipe.scheme](weight_OI)
    return quantise_nearest(
        weight_OI,
        bits=recipe.bits,
        group_size=group_size(recipe, weight_OI),
        symmetric=recipe.symmetric,
    )


SWEEPS: dict[str, Callable[[Task], None]] = {
    "gptq": partial(sweep_forward, quantise_layer=gptq_layer),
    "awq": partial(sweep_forward, quantise_layer=awq_layer),
    "squeezellm": sweep_tables,
    **dict.fromkeys(("rtn", "fp8", "int8", "nf4", "mxfp4", "nvfp4"), sweep_weights),
}
