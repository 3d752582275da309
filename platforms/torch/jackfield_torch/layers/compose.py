"""Functions of one tensor, chained when a model is built, so that a step makes no decisions."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

TensorFunction = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """Returns its argument."""
    return x


def chain(*functions: TensorFunction) -> TensorFunction:
    """One function that applies all functions in order. Identities are left out."""
    real = [function for function in functions if function is not identity]
    if not real:
        return identity
    if len(real) == 1:
        return real[0]
    return _Chain(tuple(real))


class Multiply:
    """Multiplies in place, so no other code may hold the tensor."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, x: Tensor) -> Tensor:
        return x.mul_(self._factor)


class Clip:
    """Clips to [-limit, limit] in place, so no other code may hold the tensor."""

    def __init__(self, limit: float) -> None:
        self._limit = limit

    def __call__(self, x: Tensor) -> Tensor:
        return x.clamp_(-self._limit, self._limit)


class _Chain:
    def __init__(self, functions: tuple[TensorFunction, ...]) -> None:
        self._functions = functions

    def __call__(self, x: Tensor) -> Tensor:
        for function in self._functions:
            x = function(x)
        return x
