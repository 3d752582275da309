"""The order in which decoding rows are attended: the longest first, so that no long row runs alone at the end."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

_CHUNK = 32  # rows per program


@triton.jit(do_not_specialize=["num_rows"])
def _rank(
    lengths_ptr, order_ptr, num_rows, ROWS: tl.constexpr, CHUNK: tl.constexpr, DEPENDENT: tl.constexpr
):  # fmt: skip
    """Write each row at its place: the number of longer rows, plus the rows of equal length with a smaller index."""
    begin(DEPENDENT)
    row = tl.program_id(0) * CHUNK + tl.arange(0, CHUNK)
    other = tl.arange(0, ROWS)
    wait_for_inputs(DEPENDENT)
    length = tl.load(lengths_ptr + row, mask=row < num_rows, other=0)[:, None]
    of_other = tl.load(lengths_ptr + other, mask=other < num_rows, other=-1)[None, :]
    is_before = (of_other > length) | ((of_other == length) & (other[None, :] < row[:, None]))
    place = tl.sum(is_before.to(tl.int32), 1)
    tl.store(order_ptr + place, row, mask=row < num_rows)


def order_rows(lengths_R: Tensor, order_R: Tensor) -> None:
    """Fill `order_R` with the indices of the rows, the longest row first. Both tensors are int32."""
    num_rows = len(lengths_R)
    _rank[(triton.cdiv(num_rows, _CHUNK),)](
        lengths_R, order_R, num_rows, ROWS=max(_CHUNK, next_power_of_two(num_rows)), CHUNK=_CHUNK,
        num_warps=4, **launch_options(lengths_R.device),
    )  # fmt: skip
