"""Layers whose norms follow the sums, as in the first Transformer (Vaswani et al. 2017) and in BERT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.compose import TensorFunction
from jackfield_torch.layers.feed_forward import FeedForwardBranch
from jackfield_torch.layers.norm import Norm


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNormLayer:
    """x = norm(x + mixer(x)), then x = norm(x + feed_forward(x)). Parts that a spec leaves out are the identity."""

    mixer: Callable[[Tensor, StepInputs], Tensor]
    after_mixer: TensorFunction  # sum over ranks, scale
    mixer_norm: Norm
    feed_forward: FeedForwardBranch
    after_feed_forward: TensorFunction
    feed_forward_norm: Norm

    def __call__(self, x_TE: Tensor, branch_TE: Tensor | None, step: StepInputs) -> Tensor | None:
        """Change `x_TE` in place. There is no branch of the layer before, and none for the next layer."""
        assert branch_TE is None, "all layers of a model have their norms in the same place"
        y_TE = self.mixer_norm.after(x_TE, self.after_mixer(self.mixer(x_TE, step)))
        branch_TE = self.after_feed_forward(self.feed_forward(y_TE, step))
        x_TE.copy_(self.feed_forward_norm.after(y_TE, branch_TE))
        return None
