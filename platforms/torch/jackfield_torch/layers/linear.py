"""Matrix multiplication with plain weights: oneDNN's packed order on the CPU, row-major elsewhere.

On two Zen 4 cores with the shapes of SmolLM2-135M, packed weights are 1.4 to 2.2 times as fast as F.linear at 1, 8
and 32 tokens in bfloat16 and in float32, and equal at 512, so every size runs packed and no second copy is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.interfaces.linear import Linear, LinearShard
from jackfield_torch.interfaces.quantization import LinearPart


class PlainLinear(Linear):
    """F.linear over a row-major matrix."""

    kind = "row-major"

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        self.weight_OI, self.bias_O = weight_OI, bias_O

    def __call__(self, x_TI: Tensor) -> Tensor:
        return F.linear(x_TI, self.weight_OI, self.bias_O)


class PackedLinear(Linear):
    """oneDNN over a matrix in blocked order, which only oneDNN's own operation can read."""

    kind = "packed by oneDNN"

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        self.weight_OI = torch.ops.mkldnn._reorder_linear_weight(weight_OI)  # is_mkldnn
        self.bias_O = bias_O

    def __call__(self, x_TI: Tensor) -> Tensor:
        y_TO: Tensor = torch.ops.mkldnn._linear_pointwise(
            x_TI, self.weight_OI, self.bias_O, "none", [], ""
        )
        return y_TO


class JoinedLinear(Linear):
    """Several linears of one input, run one after another, for parts that cannot become one matrix."""

    def __init__(self, linears: Sequence[Linear]) -> None:
        self._linears = tuple(linears)

    def __call__(self, x_TI: Tensor) -> Tensor:
        return torch.cat([linear(x_TI) for linear in self._linears], -1)


def build_linear(parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
    """One linear over this rank's share of the parts, in the shard's dtype and on its device."""
    weight_OI = _joined([read_share(part, "weight", shard) for part in parts], shard)
    bias_O = None
    if parts[0].bias and not (parts[0].split == "row" and shard.rank > 0):
        bias_O = _joined([read_share(part, "bias", shard) for part in parts], shard)
    kind = PackedLinear if _packs(shard.device.type, shard.dtype) else PlainLinear
    return kind(weight_OI, bias_O)


def linear_kind(device: torch.device, dtype: torch.dtype) -> str:
    """How plain weights are stored on that device, for `explain` and logs."""
    return (PackedLinear if _packs(device.type, dtype) else PlainLinear).kind


def read_share(part: LinearPart, parameter: str, shard: LinearShard) -> Tensor:
    """This rank's share of a plain parameter."""
    whole = shard.read(part, parameter)
    is_column, is_row = part.split == "column", part.split == "row"
    if is_column:
        return shard.cut(whole, 0, part.copies)
    return shard.cut(whole, 1) if is_row and parameter == "weight" else whole


def _joined(pieces: list[Tensor], shard: LinearShard) -> Tensor:
    """The pieces stacked along axis 0. A single whole tensor of the right form is shared, not copied."""
    if len(pieces) > 1:
        return _stacked(pieces, shard)
    joined = pieces[0].to(shard.device, shard.dtype).contiguous()
    # A view would keep the whole tensor alive.
    is_part = joined.untyped_storage().nbytes() > joined.nbytes
    return joined.clone() if is_part else joined


def _stacked(pieces: list[Tensor], shard: LinearShard) -> Tensor:
    """Stack the pieces. They are converted at their final place, so that nothing is copied twice."""
    shape = (sum(map(len, pieces)), *pieces[0].shape[1:])
    stacked = torch.empty(shape, dtype=shard.dtype, device=shard.device)
    start = 0
    for piece in pieces:
        stacked[start : start + len(piece)].copy_(piece)
        start += len(piece)
    return stacked


@cache
def _packs(device: str, dtype: torch.dtype) -> bool:
    """True if oneDNN packs and multiplies this dtype on this machine."""
    if device != "cpu":
        return False
    try:
        linear = PackedLinear(torch.ones(16, 16, dtype=dtype), None)
        return bool((linear(torch.ones(2, 16, dtype=dtype)) == 16).all())
    except (RuntimeError, AttributeError):  # this CPU or this build of torch does not support it
        return False
