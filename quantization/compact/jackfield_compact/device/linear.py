"""Compact linears on a card: words are read once for few tokens, and widened once for the library's product of many."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.choice import NUM_TOKENS, Choose, Tile, choose_tile
from jackfield_compact.device.dense import multiply_dense, wide_rows
from jackfield_compact.device.few import FewTile, multiply_few
from jackfield_compact.device.hopper import HopperTile, fits_hopper, multiply_hopper
from jackfield_compact.device.outliers import SparseWeights
from jackfield_compact.device.rounding import NarrowRounded, RoundedProduct
from jackfield_compact.device.vector import VectorTile, multiply_vector
from jackfield_torch.interfaces.kernels import NarrowProduct
from jackfield_torch.interfaces.linear import Around, Linear
from jackfield_torch.kernels.activation import ACTIVATIONS, gated_activation
from jackfield_torch.kernels.launch import next_power_of_two
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.scratch import Scratch


class DeviceLinear(Linear):
    """y = x w' + bias. Nothing is read back from the device and no address changes, so steps can be recorded."""

    def __init__(
        self,
        blocks: Blocks,
        bias_O: Tensor | None,
        dtype: torch.dtype,
        *,
        sparse: SparseWeights | None = None,
        rounds: bool = False,
        choose: Choose = choose_tile,
    ) -> None:
        """`rounds`: inputs of several tokens are rounded to float8, if `rounding.can_round` allows it."""
        device = blocks.words_OW.device
        self.blocks = blocks
        self.bias_O = None if bias_O is None else bias_O.to(device, dtype)
        self.sparse = sparse
        self.scratch = _scratch(device)
        self._choose, self._is_hopper = choose, fits_hopper(blocks, dtype)
        self._tiles = self.tiles(gated=False)
        self._wide = _wide(device, dtype, 1 if rounds else wide_rows(blocks) * blocks.num_inputs)
        self.rounded = RoundedProduct(blocks, self.bias_O, self.scratch) if rounds else None

    def __call__(self, x_TI: Tensor) -> Tensor:
        x_TK = self.ordered(x_TI)
        num_tokens = len(x_TK)
        if self.rounded is not None and num_tokens > 1:
            y_TO = self.rounded(x_TK)
        elif (tile := tile_of(self._tiles, num_tokens)) is None:
            y_TO = multiply_dense(x_TK, self.blocks, self._wide, self.bias_O)
        elif isinstance(tile, VectorTile):
            y_TO = multiply_vector(x_TK, self.blocks, tile, bias_O=self.bias_O)
        else:
            y_TO = self.multiply(x_TK, tile)
        if self.sparse is not None:
            self.sparse.add(x_TI, y_TO)
        return y_TO

    def narrow(self, around: Around) -> NarrowProduct | None:
        """None if inputs are reordered, if there are outliers, or if a gate has a bias."""
        if self.blocks.order_K is not None or self.sparse is not None:
            return None
        if around.activation and (self.bias_O is not None or around.activation not in ACTIVATIONS):
            return None
        if self.rounded is not None:
            return NarrowRounded(self.rounded, around, NarrowCompact(self, around))
        return NarrowCompact(self, around)

    def tiles(self, *, gated: bool) -> list[Tile | None]:
        """The choice for each of NUM_TOKENS."""
        return [self._choose(tokens, self.blocks, gated, self._is_hopper) for tokens in NUM_TOKENS]

    def multiply(
        self,
        x_TK: Tensor,
        tile: FewTile | HopperTile,
        activation: str = "",
        into_TO: Tensor | None = None,
    ) -> Tensor:
        """Several tokens times the matrix, by tensor cores."""
        around: dict[str, Any] = {
            "activation": activation, "bias_O": self.bias_O, "into_TO": into_TO
        }  # fmt: skip
        if isinstance(tile, HopperTile):
            return multiply_hopper(x_TK, self.blocks, tile, self.scratch, **around)
        return multiply_few(x_TK, self.blocks, tile, self.scratch, **around)

    def ordered(self, x_TI: Tensor) -> Tensor:
        """Inputs in the order of the blocks; contiguous."""
        order_K = self.blocks.order_K
        if order_K is None:
            return x_TI if x_TI.stride(1) == 1 else x_TI.contiguous()
        if self.blocks.has_holes:
            x_TI = F.pad(x_TI, (0, 1))
        return x_TI.index_select(1, order_K)


class NarrowCompact(NarrowProduct):
    """One launch for a compact linear and the operations around it. A norm before several tokens is a second launch."""

    def __init__(self, linear: DeviceLinear, around: Around) -> None:
        self._linear, self._around = linear, around
        self._tiles = linear.tiles(gated=bool(around.activation))
        served = zip(NUM_TOKENS, linear.tiles(gated=False), strict=True)
        self.most_tokens = max(tokens for tokens, tile in served if tile is not None)

    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """See NarrowProduct."""
        linear, around = self._linear, self._around
        tile = tile_of(self._tiles, len(x_TI))
        if tile is None:
            return self._apart(x_TI, into_TO)
        if isinstance(tile, VectorTile):
            return multiply_vector(
                x_TI,
                linear.blocks,
                tile,
                norm_I=around.norm_weight_I,
                epsilon=around.norm_epsilon,
                activation=around.activation,
                bias_O=linear.bias_O,
                into_TO=into_TO,
            )
        return linear.multiply(self._normed(x_TI), tile, around.activation, into_TO)

    def _apart(self, x_TI: Tensor, into_TO: Tensor | None) -> Tensor:
        y_TO = self._linear(self._normed(x_TI))
        if self._around.activation:
            y_TO = gated_activation(y_TO, self._around.activation)
        return y_TO if into_TO is None else into_TO.add_(y_TO)

    def _normed(self, x_TI: Tensor) -> Tensor:
        around = self._around
        if around.norm_weight_I is None:
            return x_TI
        return add_rms_norm(x_TI, None, around.norm_weight_I, around.norm_epsilon)


def tile_of(tiles: Sequence[Tile | None], num_tokens: int) -> Tile | None:
    """The choice for the next larger of NUM_TOKENS; None beyond the last."""
    place = bisect_left(NUM_TOKENS, num_tokens)
    return tiles[place] if place < len(tiles) else None


_SCRATCHES: WeakValueDictionary[torch.device, Scratch] = WeakValueDictionary()
_WIDE: WeakValueDictionary[tuple[torch.device, torch.dtype], Tensor] = WeakValueDictionary()


def _scratch(device: torch.device) -> Scratch:
    """Scratch memory of a device, which all compact linears share because they run one after another."""
    found = _SCRATCHES.get(device)
    if found is None:
        found = _SCRATCHES[device] = Scratch(device)
    return found


def _wide(device: torch.device, dtype: torch.dtype, num_elements: int) -> Tensor:
    """Memory for widened weights, which linears share. A linear with a smaller one keeps it: recorded steps use its
    address.
    """
    found = _WIDE.get((device, dtype))
    if found is None or len(found) < num_elements:
        found = torch.empty(next_power_of_two(num_elements), dtype=dtype, device=device)
        _WIDE[device, dtype] = found
    return found
