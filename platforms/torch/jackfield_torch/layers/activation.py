"""The operations between the two halves of a feed-forward block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield_torch.layers.compose import TensorFunction


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square_()


def _gelu_sigmoid(x: Tensor) -> Tensor:
    """Hendrycks and Gimpel 2016, section 2."""
    return (1.702 * x).sigmoid_().mul_(x)


_FUNCTIONS: dict[str, TensorFunction] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "gelu_sigmoid": _gelu_sigmoid,
    "relu": F.relu,
    "relu_squared": _relu_squared,
}


def activation_function(name: str) -> TensorFunction:
    """The activation with that name in a spec. It returns a new tensor."""
    if name not in _FUNCTIONS:
        allowed = ", ".join(sorted(_FUNCTIONS))
        raise UnsupportedModelError(f"no activation {name!r} in the torch runtime; has: {allowed}")
    return _FUNCTIONS[name]


class ClippedGate:
    """activation(min(gate, c)) * (up between -c and c + offset). Gate and up stand side by side (gpt-oss)."""

    def __init__(self, activation: TensorFunction, clip: float | None, up_offset: float) -> None:
        self._activation = activation
        self._clip = float("inf") if clip is None else clip
        self._up_offset = up_offset

    def __call__(self, x_T2F: Tensor) -> Tensor:
        """Returns a new tensor."""
        gate_TF, up_TF = x_T2F.chunk(2, -1)
        up_TF = up_TF.clamp(-self._clip, self._clip).add_(self._up_offset)
        return self._activation(gate_TF.clamp(max=self._clip)).mul_(up_TF)


class ScaledGate:
    """Multiplies the gate, which stands before up in the last axis, in place."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, x_T2F: Tensor) -> Tensor:
        x_T2F[..., : x_T2F.shape[-1] // 2] *= self._factor
        return x_T2F
