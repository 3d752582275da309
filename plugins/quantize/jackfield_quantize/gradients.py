"""Computes squared gradients of weights, one layer at a time, from the last to the first. R rows, L tokens, E hidden size.

On the way forward the input of each layer is kept on disk. On the way backward a layer is built again and gets the
gradient of the layer behind it. So a model of any size needs the memory of one layer. The loss is that of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_quantize.linears import StudiedLinear
from jackfield_quantize.products import narrow_products
from jackfield_quantize.stream import LayerStream, StudiedLayer


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """How much errors of a linear of P parts change the loss. O outputs, I inputs, T tokens of calibration."""

    weight_OI: Tensor  # mean square of gradients
    token_PT: Tensor | None  # mean square over the outputs of a part; None for experts


@narrow_products()
def loss_gradient(stream: LayerStream, x_RLE: Tensor, token_ids_RL: Tensor) -> Tensor:
    """The gradient of the loss with respect to the output of the last layer. The loss sums cross entropies of next tokens."""
    head = stream.head()
    found = []
    for x_LE, token_ids_L in zip(x_RLE, token_ids_RL, strict=True):
        leaf = x_LE.to(stream.device).requires_grad_()
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            scores = head(leaf.clone())[:-1]
            loss = F.cross_entropy(scores, token_ids_L[1:].to(stream.device), reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
        found.append(gradient.cpu())
    return torch.stack(found)


@narrow_products()
def layer_gradients(
    stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor, gradient_RLE: Tensor
) -> tuple[list[Sensitivity], Tensor]:
    """The sensitivity of each linear, and the gradient of the input of the layer."""
    linears = layer.linears
    weights = [linear.weight_OI.requires_grad_() for linear in linears]
    sums = [torch.zeros_like(weight) for weight in weights]
    whole = [linear for linear in linears if not linear.is_expert]
    tokens: dict[StudiedLinear, list[Tensor]] = {linear: [] for linear in whole}
    found = []
    for x_LE, behind_LE in zip(x_RLE, gradient_RLE, strict=True):
        leaf = x_LE.to(stream.device).requires_grad_()
        with _leaves(whole) as leaves, torch.autograd.graph.allow_mutation_on_saved_tensors():
            y_LE = stream.forward(layer, leaf.unsqueeze(0)).squeeze(0)
            outputs = [leaves[linear] for linear in whole]
            gradients = torch.autograd.grad(
                y_LE, [leaf, *weights, *outputs], behind_LE.to(stream.device), allow_unused=True
            )
        found.append(gradients[0].cpu())
        for total, gradient in zip(sums, gradients[1:], strict=False):
            if gradient is not None:  # None: no token of the row goes to this expert
                total.addcmul_(gradient, gradient)
        for linear, gradient in zip(whole, gradients[1 + len(weights) :], strict=True):
            tokens[linear].append(_of_parts(linear, gradient))
    result = [
        Sensitivity(total / len(x_RLE), torch.cat(tokens[linear], 1) if linear in tokens else None)
        for linear, total in zip(linears, sums, strict=True)
    ]
    return result, torch.stack(found)


@contextmanager
def _leaves(linears: Sequence[StudiedLinear]) -> Iterator[dict[StudiedLinear, Tensor]]:
    """Zeros that are added to outputs while rows run. Their gradients are those of the outputs."""
    leaves: dict[StudiedLinear, Tensor] = {}

    def bend(linear: StudiedLinear, y_TO: Tensor) -> Tensor:
        leaves[linear] = torch.zeros_like(y_TO, requires_grad=True)
        return y_TO + leaves[linear]

    for linear in linears:
        linear.bend = lambda y_TO, linear=linear: bend(linear, y_TO)
    try:
        yield leaves
    finally:
        for linear in linears:
            linear.bend = None


def _of_parts(linear: StudiedLinear, gradient_TO: Tensor) -> Tensor:
    """The mean square of each part and token, [P, T]."""
    square_TO = gradient_TO.square()
    return torch.stack([square_TO[:, linear.rows(name)].mean(1) for name in linear.names])
