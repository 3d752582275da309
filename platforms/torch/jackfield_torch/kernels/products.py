"""Products of few tokens: chooses the kernel by the shape and the number of tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.interfaces.kernels import NarrowProduct, ProductFacts
from jackfield_torch.kernels.activation import gated_activation
from jackfield_torch.kernels.hopper import HopperTile, fits_hopper, multiply_hopper
from jackfield_torch.kernels.matvec import Tile, matvec
from jackfield_torch.kernels.matvec import choose_tile as choose_matvec_tile
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.scratch import Scratch

NUM_TOKENS = (1, 16, 32, 64, 128)  # a choice is made for each of these upper bounds

AnyTile = Tile | HopperTile
# Maps tokens (one of NUM_TOKENS), outputs, inputs and whether there is a gate to a kernel's tile. None: use the
# library.
Choose = Callable[[int, int, int, bool], AnyTile | None]


def choose_tile(num_tokens: int, num_outputs: int, size: int, gated: bool) -> AnyTile | None:
    """The choice without measurements: a kernel for one token, whose time is reading the weights; otherwise the library."""
    return choose_matvec_tile(num_outputs, size, gated=gated) if num_tokens == 1 else None


class TritonProduct(NarrowProduct):
    """One launch if a kernel of ours was chosen, otherwise norm, the library's product, and gate."""

    def __init__(self, facts: ProductFacts, choose: Choose, scratch: Scratch) -> None:
        num_outputs, size = facts.weight_OI.shape
        gated = bool(facts.activation)
        self._facts, self._scratch = facts, scratch
        tiles = [choose(tokens, num_outputs // (1 + gated), size, gated) for tokens in NUM_TOKENS]
        on_hopper = fits_hopper(facts.weight_OI)
        self._tiles = [
            tile if on_hopper or not isinstance(tile, HopperTile) else None for tile in tiles
        ]
        chosen = [tokens for tokens, tile in zip(NUM_TOKENS, self._tiles, strict=True) if tile]
        self.most_tokens = max(chosen, default=0)

    def parts(self, x_TI: Tensor) -> Tensor | None:
        """See NarrowProduct."""
        facts, tile = self._facts, self._tile(x_TI)
        if facts.norm_weight_I is not None or facts.activation:
            return None
        if tile is None:
            return F.linear(x_TI, facts.weight_OI, facts.bias_O)
        if not (isinstance(tile, HopperTile) and tile.apart):
            return None
        return multiply_hopper(x_TI, facts.weight_OI, tile, bias_O=facts.bias_O, apart=True)

    def after(self, x_TI: Tensor, branch_TI: Tensor | None) -> Tensor:
        """See NarrowProduct."""
        facts = self._facts
        if branch_TI is None or facts.norm_weight_I is None or self._norms(x_TI):
            return super().after(x_TI, branch_TI)
        normed_TI = add_rms_norm(x_TI, branch_TI, facts.norm_weight_I, facts.norm_epsilon)
        return self._multiply(normed_TI, None, None)

    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """See NarrowProduct."""
        norm_I = self._facts.norm_weight_I
        if norm_I is not None and not self._norms(x_TI):
            x_TI, norm_I = add_rms_norm(x_TI, None, norm_I, self._facts.norm_epsilon), None
        return self._multiply(x_TI, into_TO, norm_I)

    def _tile(self, x_TI: Tensor) -> AnyTile | None:
        """None: the library. A layer may have more tokens than this product serves, if another of its products serves them."""
        index = bisect_left(NUM_TOKENS, len(x_TI))
        return self._tiles[index] if index < len(self._tiles) else None

    def _norms(self, x_TI: Tensor) -> bool:
        """True if the kernel computes the norm itself."""
        return isinstance(self._tile(x_TI), Tile)

    def _multiply(self, x_TI: Tensor, into_TO: Tensor | None, norm_I: Tensor | None) -> Tensor:
        facts, tile = self._facts, self._tile(x_TI)
        if isinstance(tile, Tile):
            return matvec(
                x_TI,
                facts.weight_OI,
                norm_I=norm_I,
                epsilon=facts.norm_epsilon,
                activation=facts.activation,
                bias_O=facts.bias_O,
                residual_TO=into_TO,
                tile=tile,
            )
        if isinstance(tile, HopperTile):
            return multiply_hopper(
                x_TI,
                facts.weight_OI,
                tile,
                self._scratch,
                activation=facts.activation,
                bias_O=facts.bias_O,
                into_TO=into_TO,
            )
        if into_TO is not None and facts.bias_O is None:
            return torch.addmm(into_TO, x_TI, facts.weight_OI.t(), out=into_TO)
        y_TO = F.linear(x_TI, facts.weight_OI, facts.bias_O)
        if facts.activation:
            y_TO = gated_activation(y_TO, facts.activation)
        return y_TO if into_TO is None else into_TO.add_(y_TO)
