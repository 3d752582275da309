"""Products of few tokens: chooses the kernel by the shape and the number of tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.interfaces.kernels import NarrowProduct, ProductFacts
from jackfield_torch.kernels.activation import gated_activation
from jackfield_torch.kernels.matvec import Tile, matvec
from jackfield_torch.kernels.matvec import choose_tile as choose_matvec_tile
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.skinny import Scratch, SkinnyTile, skinny_linear

NUM_TOKENS = (1, 16, 32, 64, 128)  # a choice is made for each of these upper bounds

# Maps tokens (one of NUM_TOKENS), outputs, inputs and whether there is a gate to a kernel's tile. None: use the
# library.
Choose = Callable[[int, int, int, bool], Tile | SkinnyTile | None]


def choose_tile(
    num_tokens: int, num_outputs: int, size: int, gated: bool
) -> Tile | SkinnyTile | None:
    """The choice without measurements: a kernel for one token, whose time is reading the weights; otherwise the library."""
    return choose_matvec_tile(num_outputs, size, gated=gated) if num_tokens == 1 else None


class TritonProduct(NarrowProduct):
    """One launch if a kernel of ours was chosen, otherwise norm, the library's product, and gate."""

    def __init__(self, facts: ProductFacts, choose: Choose, scratch: Scratch) -> None:
        num_outputs, size = facts.weight_OI.shape
        gated = bool(facts.activation)
        self._facts, self._scratch = facts, scratch
        self._tiles = [
            choose(tokens, num_outputs // (1 + gated), size, gated) for tokens in NUM_TOKENS
        ]
        chosen = [tokens for tokens, tile in zip(NUM_TOKENS, self._tiles, strict=True) if tile]
        self.most_tokens = max(chosen, default=0)

    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """See NarrowProduct."""
        facts, tile = self._facts, self._tiles[bisect_left(NUM_TOKENS, x_TI.shape[0])]
        if isinstance(tile, Tile):
            return matvec(
                x_TI,
                facts.weight_OI,
                norm_I=facts.norm_weight_I,
                epsilon=facts.norm_epsilon,
                activation=facts.activation,
                bias_O=facts.bias_O,
                residual_TO=into_TO,
                tile=tile,
            )
        if isinstance(tile, SkinnyTile):
            return self._skinny(x_TI, into_TO, tile)
        if facts.norm_weight_I is not None:
            x_TI = add_rms_norm(x_TI, None, facts.norm_weight_I, facts.norm_epsilon)
        if into_TO is not None and facts.bias_O is None:
            return torch.addmm(into_TO, x_TI, facts.weight_OI.t(), out=into_TO)
        y_TO = F.linear(x_TI, facts.weight_OI, facts.bias_O)
        if facts.activation:
            y_TO = gated_activation(y_TO, facts.activation)
        return y_TO if into_TO is None else into_TO.add_(y_TO)

    def _skinny(self, x_TI: Tensor, into_TO: Tensor | None, tile: SkinnyTile) -> Tensor:
        facts, norm_I = self._facts, self._facts.norm_weight_I
        if norm_I is not None and not tile.norms:
            x_TI, norm_I = add_rms_norm(x_TI, None, norm_I, facts.norm_epsilon), None
        return skinny_linear(
            x_TI,
            facts.weight_OI,
            tile,
            self._scratch,
            norm_I=norm_I,
            epsilon=facts.norm_epsilon,
            activation=facts.activation,
            bias_O=facts.bias_O,
            into_TO=into_TO,
        )
