"""Weights beside the codes: a sparse matrix with few entries for each output, added to the products."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_compact.matrix import Outliers
from jackfield_torch.kernels.launch import begin, launch_options, wait_for_inputs

_ENTRIES, _TOKENS = 64, 16  # held by a program


@triton.jit
def _add(
    starts_ptr, inputs_ptr, values_ptr, x_ptr, y_ptr, num_tokens, x_stride, y_stride,
    ENTRIES: tl.constexpr, TOKENS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """One output of TOKENS tokens."""
    begin(DEPENDENT)
    output = tl.program_id(0)
    token = (tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)).to(tl.int64)
    first, last = tl.load(starts_ptr + output), tl.load(starts_ptr + output + 1)
    wait_for_inputs(DEPENDENT)
    if first == last:
        return
    is_token = token < num_tokens
    total = tl.zeros([TOKENS], tl.float32)
    for start in tl.range(first, last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        value = tl.load(values_ptr + entry, mask=entry < last, other=0.0)
        column = tl.load(inputs_ptr + entry, mask=entry < last, other=0)
        x = tl.load(
            x_ptr + token[:, None] * x_stride + column[None, :], mask=is_token[:, None], other=0.0
        )
        total += tl.sum(x.to(tl.float32) * value[None, :], 1)
    target = y_ptr + token * y_stride + output
    y = tl.load(target, mask=is_token, other=0.0).to(tl.float32) + total
    tl.store(target, y.to(y_ptr.dtype.element_ty), mask=is_token)


class SparseWeights:
    """Outliers on a device."""

    def __init__(self, outliers: Outliers, device: torch.device) -> None:
        self._starts_O1 = outliers.starts.int().to(device)
        self._inputs_S = outliers.inputs.int().to(device)
        self._values_S = outliers.values.float().to(device)

    def add(self, x_TI: Tensor, y_TO: Tensor) -> None:
        """Add their products to `y_TO` in place. x must be contiguous in I."""
        num_tokens = len(x_TI)
        _add[(len(self._starts_O1) - 1, triton.cdiv(num_tokens, _TOKENS))](
            self._starts_O1, self._inputs_S, self._values_S, x_TI, y_TO, num_tokens, x_TI.stride(0), y_TO.stride(0),
            ENTRIES=_ENTRIES, TOKENS=_TOKENS, num_warps=4, **launch_options(x_TI.device),
        )  # fmt: skip
