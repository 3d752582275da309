"""What stands between the two halves of a feed-forward block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield_torch.layers.compose import TensorFunction


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square_()


_FUNCTIONS: dict[str, TensorFunction] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": F.relu,
    "relu_squared": _relu_squared,
}


def activation_function(name: str) -> TensorFunction:
    """The activation of that name in a spec. Gives a new tensor."""
    if name not in _FUNCTIONS:
        allowed = ", ".join(sorted(_FUNCTIONS))
        raise UnsupportedModelError(f"no activation {name!r} in the torch runtime; has: {allowed}")
    return _FUNCTIONS[name]
