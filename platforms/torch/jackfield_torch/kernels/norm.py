"""RMS norm of the residual stream, in one pass with the addition of the branch before it (Zhang and Sennrich 2019)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs


@triton.jit
def _add_norm(
    x_ptr, delta_ptr, weight_ptr, y_ptr, x_stride, delta_stride, part_stride, y_stride, size, epsilon,
    PARTS: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    inside = place < size
    weight = tl.load(weight_ptr + place, mask=inside, other=0.0).to(tl.float32)
    wait_for_inputs(DEPENDENT)
    x = tl.load(x_ptr + token * x_stride + place, mask=inside, other=0.0)
    if PARTS > 0:
        delta = tl.zeros([BLOCK], tl.float32)
        for part in tl.static_range(PARTS):
            at = delta_ptr + part * part_stride + token * delta_stride + place
            delta += tl.load(at, mask=inside, other=0.0).to(tl.float32)
        x = (x.to(tl.float32) + delta).to(x.dtype)
        tl.store(x_ptr + token * x_stride + place, x, mask=inside)
    wide = x.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, 0) / size + epsilon)
    tl.store(y_ptr + token * y_stride + place, (wide * scale * weight).to(x.dtype), mask=inside)


def add_rms_norm(x_TE: Tensor, delta: Tensor | None, weight_E: Tensor, epsilon: float) -> Tensor:
    """Add `delta`, if it is given, to `x_TE` in place, rounded to its dtype. Returns the norm of the sum.

    `delta` is [T, E], or parts to be added up [P, T, E]. y_TE in x's dtype; sums in float32 and rounds once. The last axis
    must be contiguous.
    """
    num_tokens, size = x_TE.shape
    y_TE = torch.empty((num_tokens, size), dtype=x_TE.dtype, device=x_TE.device)
    if not num_tokens:
        return y_TE
    block = next_power_of_two(size)
    parts = x_TE if delta is None else delta
    num_parts = 0 if delta is None else len(delta) if delta.dim() == 3 else 1
    part_stride = parts.stride(0) if num_parts > 1 else 0
    _add_norm[(num_tokens,)](
        x_TE, parts, weight_E, y_TE, x_TE.stride(0), parts.stride(-2), part_stride, y_TE.stride(0), size, epsilon,
        PARTS=num_parts, BLOCK=block, num_warps=4 if block <= 2048 else 8,
        **launch_options(x_TE.device),
    )  # fmt: skip
    return y_TE
