"""The gate of a feed-forward block: activation(gate) * up in one pass."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

SILU, GELU, GELU_TANH, RELU = "silu", "gelu", "gelu_tanh", "relu"
ACTIVATIONS = (SILU, GELU, GELU_TANH, RELU)


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    """The activation of that name, in float32."""
    if ACTIVATION == "silu":
        return x / (1.0 + tl.exp(-x))
    elif ACTIVATION == "gelu":
        return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif ACTIVATION == "gelu_tanh":
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        return x * (1.0 - 1.0 / (1.0 + tl.exp(2.0 * inner)))
    else:
        return tl.maximum(x, 0.0)


@triton.jit
def _gate(
    x_ptr, y_ptr, x_stride, y_stride, size,
    ACTIVATION: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    wait_for_inputs(DEPENDENT)
    gate = tl.load(x_ptr + token * x_stride + place, mask=inside, other=0.0)
    up = tl.load(x_ptr + token * x_stride + size + place, mask=inside, other=0.0)
    # rounded between the two, as the unfused operators do
    active = activate(gate.to(tl.float32), ACTIVATION).to(gate.dtype).to(tl.float32)
    tl.store(
        y_ptr + token * y_stride + place, (active * up.to(tl.float32)).to(gate.dtype), mask=inside
    )


def gated_activation(x_T2F: Tensor, activation: str) -> Tensor:
    """activation(gate) * up, y_TF in x's dtype; gate and up lie side by side in the contiguous last axis."""
    num_tokens, size = x_T2F.shape[0], x_T2F.shape[1] // 2
    y_TF = torch.empty((num_tokens, size), dtype=x_T2F.dtype, device=x_T2F.device)
    if num_tokens:
        block = min(1024, next_power_of_two(size))
        _gate[(num_tokens, triton.cdiv(size, block))](
            x_T2F, y_TF, x_T2F.stride(0), y_TF.stride(0), size,
            ACTIVATION=activation, BLOCK=block, num_warps=4, **launch_options(x_T2F.device),
        )  # fmt: skip
    return y_TF
