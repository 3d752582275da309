"""The output of a branch of a layer before it is added to the residual stream."""

from __future__ import annotations

from torch import Tensor


def add_branch(x_TE: Tensor, branch: Tensor) -> Tensor:
    """Add a branch to x in place, rounded once, and return x.

    It is [T, E], or parts of it that are to be added up, [P, T, E] in float32.
    """
    return x_TE.add_(branch.sum(0) if branch.dim() == 3 else branch)
