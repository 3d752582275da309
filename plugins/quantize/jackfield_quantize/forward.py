"""Runs calibration forward through a model. The inputs of each layer come from the quantised layers before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jackfield_quantize.linears import StudiedLinear
from jackfield_quantize.matrices import Grouped
from jackfield_quantize.recipe import Recipe
from jackfield_quantize.scaling import LayerScaling
from jackfield_quantize.schemes.awq import InputSums, Rounding, quantise_awq
from jackfield_quantize.schemes.gptq import Hessian, quantise_gptq
from jackfield_quantize.stream import LayerStream, StudiedLayer
from jackfield_quantize.task import Made, Task, group_size

_STATES = "states"  # the input of the next layer
QuantiseLayer = Callable[[Task, LayerStream, StudiedLayer, Tensor], Made]
"""Quantises a layer by its inputs x_RLE. Afterwards its linears hold the quantised weights."""


def sweep_forward(task: Task, quantise_layer: QuantiseLayer) -> None:
    """Quantise all layers in order. A layer is written before the inputs of the next one are kept, so an interrupted run
    repeats at most one layer.
    """
    stream, rows_RL = task.stream, task.rows_RL
    assert stream is not None
    assert rows_RL is not None
    kept = task.folder.kept(_STATES)
    if kept is None:
        start, x_RLE = 0, stream.embed(rows_RL)
    else:
        start, x_RLE = int(kept[1]["layer"]), kept[0]["x"]
    task.begin("layers", task.num_layers, start)
    for index in range(start, task.num_layers):
        layer = stream.layer(index)
        with torch.no_grad():
            task.write(index, quantise_layer(task, stream, layer, x_RLE))
        if index + 1 < task.num_layers:
            x_RLE = stream.advance(layer, x_RLE)
            task.folder.keep(_STATES, {"x": x_RLE}, layer=str(index + 1))
        task.step()


def has_begun(task: Task) -> bool:
    """True if an earlier run wrote a layer."""
    return task.folder.kept(_STATES) is not None


def gptq_layer(task: Task, stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor) -> Made:
    """See QuantiseLayer."""
    made = Made()
    for linears in layer.stages:
        seen = {linear: Hessian(linear.weight_OI.shape[1], stream.device) for linear in linears}
        stream.inputs_of(layer, x_RLE, {linear: one.add for linear, one in seen.items()})
        for linear, hessian in seen.items():
            matrix = quantise_gptq(
                linear.weight_OI,
                hessian.mean(),
                bits=task.recipe.bits,
                group_size=group_size(task.recipe, linear.weight_OI),
                symmetric=task.recipe.symmetric,
            )
            linear.weight_OI = matrix.dequantise()
            made.matrices.update(linear.split(matrix))
    return made


def awq_layer(task: Task, stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor) -> Made:
    """See QuantiseLayer."""
    made = Made()
    scaling = LayerScaling(task.checkpoint, task.spec, layer, task.modules[layer.index])
    for linears in layer.stages:
        seen = {linear: InputSums(linear.weight_OI.shape[1], stream.device) for linear in linears}
        stream.inputs_of(layer, x_RLE, {linear: one.add for linear, one in seen.items()})
        for linear, sums in seen.items():
            matrix = _awq(task.recipe, linear, sums, scaling, made)
            made.matrices.update(linear.split(matrix))
    return made


def _awq(
    recipe: Recipe, linear: StudiedLinear, sums: InputSums, scaling: LayerScaling, made: Made
) -> Grouped:
    rounding = Rounding(recipe.bits, group_size(recipe, linear.weight_OI), recipe.symmetric)
    scale_I = scaling.find(linear, sums, rounding, made)
    hessian_II = sums.mean() / scale_I / scale_I.unsqueeze(1)
    matrix = quantise_awq(linear.weight_OI * scale_I, hessian_II, rounding)
    linear.weight_OI = matrix.dequantise() / scale_I
    return matrix
