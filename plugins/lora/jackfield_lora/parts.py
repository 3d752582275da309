"""This rank's share of what an adapter adds to one logical linear."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart


@dataclass(frozen=True, slots=True)
class Product:
    """B @ A of one part on this rank; the scale is in B."""

    a_RI: Tensor
    b_OR: Tensor


class PartShare:
    """Cuts A and B as the linear's scheme cuts its weight: B by outputs if it is column-parallel, A by inputs if it is
    row-parallel, so that partial sums add up.
    """

    def __init__(self, part: LinearPart, shard: LinearShard) -> None:
        self.part = part
        self._shard = shard
        is_column, is_row = part.split == "column", part.split == "row"
        shares = shard.num_ranks // part.copies
        self.out_size = part.out_size // shares if is_column else part.out_size
        self.in_size = part.in_size // shard.num_ranks if is_row else part.in_size

    def cut(self, a_RI: Tensor, b_OR: Tensor) -> Product:
        """This rank's share, on its device and in the dtype of activations."""
        shard, part = self._shard, self.part
        if part.split == "column":
            b_OR = shard.cut(b_OR, 0, part.copies)
        elif part.split == "row":
            a_RI = shard.cut(a_RI, 1)
        return Product(a_RI.to(shard.device, shard.dtype), b_OR.to(shard.device, shard.dtype))
