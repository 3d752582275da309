"""Logical linears with random weights, stored as in a scheme's checkpoints, and their right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from jackfield.dtypes import parse_dtype
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_testing_torch.conformance.tolerances import ExactSum, join
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart, QuantizationScheme
from jackfield_torch.loader import WeightShard

Quantise = Callable[[Tensor], Mapping[str, Tensor]]
Rescale = Callable[[int, Tensor], Tensor]
"""Replaces the normal weights of the part with that index."""
Dequantise = Callable[[Mapping[str, Tensor]], Tensor]


def same_weights(index: int, weight_OI: Tensor) -> Tensor:
    """The normal weights, unchanged."""
    return weight_OI


class StoredParts:
    """Parts of one input in a checkpoint. T tokens, I inputs, O outputs."""

    def __init__(
        self,
        parts: Sequence[LinearPart],
        *,
        dtype: str,
        device: str,
        quantise: Quantise,
        dequantise: Dequantise,
        rescale: Rescale,
        seed: int,
    ) -> None:
        self.parts = tuple(parts)
        self.dtype, self.device = torch_dtype(parse_dtype(dtype)), torch.device(device)
        self._random = torch.Generator().manual_seed(seed + len(parts) + parts[0].in_size)
        self.dense = {
            part.name: rescale(index, self.draw(part.out_size, part.in_size)).to(self.dtype)
            for index, part in enumerate(parts)
        }
        self.biases = {part.name: self.draw(part.out_size) for part in parts if part.bias}
        self.stored = {name: dict(quantise(weight)) for name, weight in self.dense.items()}
        self.exact_weights = {
            name: dequantise(tensors).double() for name, tensors in self.stored.items()
        }
        biases = {name: {"bias": bias} for name, bias in self.biases.items()}
        self.weights = TensorWeights(
            {name: {**tensors, **biases.get(name, {})} for name, tensors in self.stored.items()}
        )

    def draw(self, *shape: int) -> Tensor:
        """Normal numbers in the dtype of the activations, on the host."""
        return torch.randn(shape, generator=self._random).to(self.dtype)

    def input(self, num_tokens: int, rank: int = 0, num_ranks: int = 1) -> Tensor:
        """x_TI on the device. For a row-parallel linear, this rank's share of the inputs."""
        size = self.parts[0].in_size
        if self.parts[0].split == "row":
            size //= num_ranks
        return self.draw(num_tokens, size).to(self.device)

    def create(
        self,
        scheme: QuantizationScheme,
        rank: int = 0,
        num_ranks: int = 1,
        weights: TensorWeights | None = None,
    ) -> Linear:
        """The scheme's linear of one rank."""
        weights = weights or self.weights
        shard = WeightShard(weights, rank, num_ranks, self.device, self.dtype)
        return scheme.create(self.parts, shard)

    def exact(self, x_TI: Tensor, rank: int = 0, num_ranks: int = 1) -> ExactSum:
        """y_TO of one rank: its share of each part, one part after another."""
        x_TI = x_TI.cpu().double()
        return join([self._exact(part, x_TI, rank, num_ranks) for part in self.parts], 1)

    def _exact(self, part: LinearPart, x_TI: Tensor, rank: int, num_ranks: int) -> ExactSum:
        weight_OI = self.exact_weights[part.name]
        bias_O = self.biases.get(part.name, torch.zeros(part.out_size)).double()
        if part.split == "column":
            share, num_shares = rank // part.copies, num_ranks // part.copies
            weight_OI = weight_OI.chunk(num_shares)[share]
            bias_O = bias_O.chunk(num_shares)[share]
        elif part.split == "row":
            weight_OI = weight_OI.chunk(num_ranks, 1)[rank]
            bias_O = bias_O if rank == 0 else torch.zeros_like(bias_O)
        return ExactSum(
            value=x_TI @ weight_OI.T + bias_O,
            noise=(x_TI.square() @ weight_OI.T.square() + bias_O.square()).sqrt(),
            reach=x_TI.abs() @ weight_OI.T.abs() + bias_O.abs(),
            num_terms=x_TI.shape[1] + 1,
        )
