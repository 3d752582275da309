"""Runs SqueezeLLM through a model: forward to the loss, backward for sensitivities and tables, forward again for codes.

Of the way back stay, for each layer, the tables, the places of outliers, and how much the loss minds each token's error
in each linear: a few numbers beside the weights. R rows, L tokens, E hidden size, T = R * L, P parts of a linear.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_quantize.forward import has_begun, sweep_forward
from jackfield_quantize.gradients import Sensitivity, layer_gradients, loss_gradient
from jackfield_quantize.linears import StudiedLinear
from jackfield_quantize.matrices import Tabled
from jackfield_quantize.recipe import Recipe
from jackfield_quantize.schemes.gptq import Hessian
from jackfield_quantize.schemes.squeezellm import Tables, find_tables, fitted_codes
from jackfield_quantize.stream import LayerStream, StudiedLayer
from jackfield_quantize.task import Made, Task

_GRADIENT = "gradient"  # gradient of the output of the layer before
# A few tokens have nearly all of the squared gradients, and calibration has too few of them to learn from: a power below
# one brings tokens together. With the first four layers of SmolLM2 in 3 bits, 32 rows, perplexities were 47.0 and 48.3
# with 0.5, 48.0 and 49.5 with 0.
_POWER = 0.5


def sweep_tables(task: Task) -> None:
    """Go through the model three times."""
    if not has_begun(task):
        _sweep_back(task)
    sweep_forward(task, _tables_layer)


def _sweep_back(task: Task) -> None:
    """Find the tables of all layers, the last layer first."""
    stream, rows_RL = task.stream, task.rows_RL
    assert stream is not None
    assert rows_RL is not None
    gradient_RLE, last = _gradient_so_far(task, stream, rows_RL)
    task.begin("tables", task.num_layers, task.num_layers - last)
    for index in reversed(range(last)):
        kept = task.folder.kept(f"input-{index}")
        assert kept is not None, "the forward sweep kept it"
        layer = stream.layer(index)
        found, gradient_RLE = layer_gradients(stream, layer, kept[0]["x"], gradient_RLE)
        tensors: dict[str, Tensor] = {}
        with torch.no_grad():
            for number, (linear, one) in enumerate(zip(layer.linears, found, strict=True)):
                for name, tensor in _learned(task.recipe, linear, one).items():
                    tensors[f"{number}.{name}"] = tensor
        task.folder.keep(f"tables-{index}", tensors)
        task.folder.keep(_GRADIENT, {"gradient": gradient_RLE}, layer=str(index))
        task.folder.drop(f"input-{index}")
        task.step()


def _gradient_so_far(task: Task, stream: LayerStream, rows_RL: Tensor) -> tuple[Tensor, int]:
    """The gradient of the output of layer `last` - 1, and `last`."""
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


def _learned(recipe: Recipe, linear: StudiedLinear, found: Sensitivity) -> dict[str, Tensor]:
    """The tensors of a linear that are kept for the last pass."""
    tables = find_tables(
        linear.weight_OI.detach(), found.weight_OI, bits=recipe.bits, sparse=recipe.sparse
    )
    tensors = {"table": tables.table_OK}
    if tables.is_outlier_OI is not None:
        tensors["outliers"] = tables.is_outlier_OI.flatten().nonzero().squeeze(1).int()
    if found.token_PT is not None:
        tensors["tokens"] = found.token_PT
    return tensors


def _tables_layer(task: Task, stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor) -> Made:
    """See QuantiseLayer."""
    kept = task.folder.kept(f"tables-{layer.index}")
    assert kept is not None, "the way back kept it"
    learned = {
        linear: _Learned(linear, kept[0], f"{number}.")
        for number, linear in enumerate(layer.linears)
    }
    made = Made()
    for linears in layer.stages:
        stream.inputs_of(layer, x_RLE, {linear: learned[linear].see for linear in linears})
        for linear in linears:
            matrices = learned[linear].quantise()
            linear.weight_OI = torch.cat([matrix.dequantise() for matrix in matrices.values()])
            made.matrices.update(matrices)
    return made


class _Learned:
    """The tables of a linear, and its inputs, weighed by how much their errors change the loss."""

    def __init__(self, linear: StudiedLinear, kept: dict[str, Tensor], prefix: str) -> None:
        self._linear = linear
        weight_OI = linear.weight_OI
        device, num_inputs = weight_OI.device, weight_OI.shape[1]
        outliers = kept.get(f"{prefix}outliers")
        is_outlier_OI = None
        if outliers is not None:
            is_outlier_OI = torch.zeros(weight_OI.numel(), dtype=torch.bool, device=device)
            is_outlier_OI[outliers.long().to(device)] = True
            is_outlier_OI = is_outlier_OI.view_as(weight_OI)
        self._tables = Tables(kept[f"{prefix}table"].to(device), is_outlier_OI)
        tokens_PT = kept.get(f"{prefix}tokens")
        if tokens_PT is not None:
            tokens_PT = tokens_PT.to(device).pow(_POWER)
        self._tokens_PT = tokens_PT
        count = 1 if tokens_PT is None else len(tokens_PT)  # one for all parts if it is an expert
        self._hessians = [Hessian(num_inputs, device) for _ in range(count)]
        self._num_seen = 0

    def see(self, x_TI: Tensor) -> None:
        """Add the inputs of some tokens. They come in the order of calibration."""
        tokens = slice(self._num_seen, self._num_seen + len(x_TI))
        self._num_seen += len(x_TI)
        if self._tokens_PT is None:
            self._hessians[0].add(x_TI)
            return
        for hessian, share_T in zip(self._hessians, self._tokens_PT, strict=True):
            mean = share_T.mean().clamp(min=1e-30)
            hessian.add(x_TI * (share_T[tokens] / mean).sqrt().unsqueeze(1))

    def quantise(self) -> dict[str, Tabled]:
        """The matrices by logical linear."""
        linear, found = self._linear, {}
        hessians = self._hessians * (len(linear.names) // len(self._hessians))
        for name, hessian in zip(linear.names, hessians, strict=True):
            rows = linear.rows(name)
            tables = self._tables.outputs(rows)
            found[name] = fitted_codes(linear.weight_OI[rows], tables, hessian.mean())
        return found
