"""How a scheme goes through a model: forward with calibration, backward for gradients, or weight by weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_quantize.folder import OutputFolder
from jackfield_quantize.gradients import layer_gradients, loss_gradient
from jackfield_quantize.linears import StudiedLinear
from jackfield_quantize.matrices import Grouped, Matrix
from jackfield_quantize.recipe import WHOLE, Recipe
from jackfield_quantize.scaling import LayerScaling
from jackfield_quantize.schemes.awq import InputSums, Rounding, quantise_awq
from jackfield_quantize.schemes.gptq import Hessian, quantise_gptq
from jackfield_quantize.schemes.nearest import quantise_fp8, quantise_int8, quantise_nearest
from jackfield_quantize.schemes.squeezellm import quantise_squeezellm
from jackfield_quantize.stored import StoredModule, read_matrix
from jackfield_quantize.stream import LayerStream, StudiedLayer

_STATES = "states"  # the input of the next layer
_GRADIENT = "gradient"  # of the output of the layer before


@dataclass(slots=True)
class Made:
    """What came of a layer."""

    matrices: dict[str, Matrix] = field(default_factory=dict)  # by logical linear
    stored: dict[str, Matrix | Tensor] = field(
        default_factory=dict
    )  # by module of the checkpoint, instead
    tensors: dict[str, Tensor] = field(default_factory=dict)  # others that changed, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that a sweep works on."""

    checkpoint: Checkpoint
    spec: ModelSpec
    recipe: Recipe
    folder: OutputFolder
    modules: Sequence[Sequence[StoredModule]]  # of each layer
    write: Callable[[int, Made], None]
    begin: Callable[[str, int, int], None]  # words, steps, steps done
    step: Callable[[], None]
    rows_RL: Tensor | None  # of calibration
    stream: LayerStream | None

    @property
    def num_layers(self) -> int:
        """Of the model."""
        return len(self.spec.layers)


def sweep_weights(task: Task) -> None:
    """Each matrix for itself: nothing runs."""
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


def sweep_forward(task: Task) -> None:
    """Layer by layer; each is fed with what the quantised ones before it give.

    Written before the states of the next layer are, so that an interrupted run repeats at most one layer.
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
        task.write(index, _quantise_layer(task, stream, layer, x_RLE))
        if index + 1 < task.num_layers:
            x_RLE = stream.advance(layer, x_RLE)
            task.folder.keep(_STATES, {"x": x_RLE}, layer=str(index + 1))
        task.step()


@torch.no_grad()
def _quantise_layer(task: Task, stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor) -> Made:
    made = Made()
    scaling = None
    if task.recipe.scheme == "awq":
        scaling = LayerScaling(task.checkpoint, task.spec, layer, task.modules[layer.index])
    kind = Hessian if scaling is None else InputSums
    for linears in layer.stages:
        sums = {linear: kind(linear.weight_OI.shape[1], stream.device) for linear in linears}
        stream.inputs_of(layer, x_RLE, {linear: seen.add for linear, seen in sums.items()})
        for linear, seen in sums.items():
            if scaling is None:
                matrix = _gptq(task.recipe, linear, seen)
            else:
                assert isinstance(seen, InputSums)
                matrix = _awq(task.recipe, linear, seen, scaling, made)
            made.matrices.update({name: matrix.outputs(linear.rows(name)) for name in linear.names})
    return made


def _gptq(recipe: Recipe, linear: StudiedLinear, hessian: Hessian) -> Grouped:
    matrix = quantise_gptq(
        linear.weight_OI,
        hessian.mean(),
        bits=recipe.bits,
        group_size=_group_size(recipe, linear.weight_OI),
        symmetric=recipe.symmetric,
    )
    linear.weight_OI = matrix.dequantise()
    return matrix


def _awq(
    recipe: Recipe, linear: StudiedLinear, sums: InputSums, scaling: LayerScaling, made: Made
) -> Grouped:
    rounding = Rounding(recipe.bits, _group_size(recipe, linear.weight_OI), recipe.symmetric)
    scale_I = scaling.find(linear, sums, rounding, made)
    hessian_II = sums.mean() / scale_I / scale_I.unsqueeze(1)
    matrix = quantise_awq(linear.weight_OI * scale_I, hessian_II, rounding)
    linear.weight_OI = matrix.dequantise() / scale_I
    return matrix


def sweep_backward(task: Task) -> None:
    """Forward to the loss with plain weights, then a layer at a time back from it."""
    stream, rows_RL = task.stream, task.rows_RL
    assert stream is not None
    assert rows_RL is not None
    gradient_RLE, last = _gradient_so_far(task, stream, rows_RL)
    task.begin("layers", task.num_layers, task.num_layers - last)
    for index in reversed(range(last)):
        kept = task.folder.kept(f"input-{index}")
        assert kept is not None, "the forward sweep kept it"
        layer = stream.layer(index)
        squares, gradient_RLE = layer_gradients(stream, layer, kept[0]["x"], gradient_RLE)
        made = Made()
        with torch.no_grad():
            seen = {
                linear: Hessian(linear.weight_OI.shape[1], stream.device)
                for linear in layer.linears
            }
            stream.inputs_of(layer, kept[0]["x"], {linear: h.add for linear, h in seen.items()})
            for linear, sensitivity_OI in zip(layer.linears, squares, strict=True):
                matrix = quantise_squeezellm(
                    linear.weight_OI,
                    sensitivity_OI,
                    bits=task.recipe.bits,
                    sparse=task.recipe.sparse,
                    hessian_II=seen[linear].mean(),
                )
                made.matrices.update({n: matrix.outputs(linear.rows(n)) for n in linear.names})
        task.write(index, made)
        task.folder.keep(_GRADIENT, {"gradient": gradient_RLE}, layer=str(index))
        task.folder.drop(f"input-{index}")
        task.step()


def _gradient_so_far(task: Task, stream: LayerStream, rows_RL: Tensor) -> tuple[Tensor, int]:
    """The gradient of what layer `last` - 1 gives, and `last`."""
    kept = task.folder.kept(_GRADIENT)
    if kept is not None:
        return kept[0]["gradient"], int(kept[1]["layer"])
    task.begin("forward", task.num_layers, 0)
    x_RLE = stream.embed(rows_RL)
    for index in range(task.num_layers):
        task.folder.keep(f"input-{index}", {"x": x_RLE})
        x_RLE = stream.advance(stream.layer(index), x_RLE)
        task.step()
    gradient_RLE = loss_gradient(stream, x_RLE, rows_RL)
    task.folder.keep(_GRADIENT, {"gradient": gradient_RLE}, layer=str(task.num_layers))
    return gradient_RLE, task.num_layers


def _nearest(recipe: Recipe, weight_OI: Tensor) -> Matrix | Tensor:
    """For the format fp8 the weight itself: its blocks are those of the stored matrix."""
    if recipe.scheme == "int8":
        return quantise_int8(weight_OI)
    if recipe.scheme == "fp8":
        return weight_OI if recipe.format == "fp8" else quantise_fp8(weight_OI)
    return quantise_nearest(
        weight_OI,
        bits=recipe.bits,
        group_size=_group_size(recipe, weight_OI),
        symmetric=recipe.symmetric,
    )


def _group_size(recipe: Recipe, weight_OI: Tensor) -> int:
    return weight_OI.shape[1] if recipe.group_size == WHOLE else recipe.group_size


SWEEPS: dict[str, Callable[[Task], None]] = {
    "gptq": sweep_forward,
    "awq": sweep_forward,
    "squeezellm": sweep_backward,
    "rtn": sweep_weights,
    "fp8": sweep_weights,
    "int8": sweep_weights,
}
