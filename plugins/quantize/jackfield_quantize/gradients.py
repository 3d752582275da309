"""Squared gradients of weights, a layer at a time from the last to the first. R rows, L tokens, E hidden size.

Forward, the input of each layer is kept on disk; backward, a layer is built again and given the gradient that the layer
behind it left. So a model of any size needs the memory of one layer. The loss is the one that models are trained by.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_quantize.stream import LayerStream, StudiedLayer


def loss_gradient(stream: LayerStream, x_RLE: Tensor, token_ids_RL: Tensor) -> Tensor:
    """Of the sum of cross entropies of next tokens, with respect to what the last layer gives."""
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


def layer_gradients(
    stream: LayerStream, layer: StudiedLayer, x_RLE: Tensor, gradient_RLE: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Of each linear the mean square of its gradient over rows, [O, I]; and the gradient of the layer's input."""
    weights = [linear.weight_OI.requires_grad_() for linear in layer.linears]
    sums = [torch.zeros_like(weight) for weight in weights]
    found = []
    for x_LE, behind_LE in zip(x_RLE, gradient_RLE, strict=True):
        leaf = x_LE.to(stream.device).requires_grad_()
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            y_LE = stream.forward(layer, leaf.unsqueeze(0)).squeeze(0)
            inputs = [leaf, *weights]
            gradients = torch.autograd.grad(
                y_LE, inputs, behind_LE.to(stream.device), allow_unused=True
            )
        found.append(gradients[0].cpu())
        for total, gradient in zip(sums, gradients[1:], strict=True):
            if gradient is not None:  # an expert that no token of the row goes to has none
                total.addcmul_(gradient, gradient)
    return [total / len(x_RLE) for total in sums], torch.stack(found)
