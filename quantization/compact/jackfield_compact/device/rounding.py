"""Products by the library with weights in E4M3, a scale for each output, and inputs in float8, a scale for each token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_compact.device.blocks import E4M3, Blocks
from jackfield_torch.interfaces.kernels import NarrowProduct
from jackfield_torch.interfaces.linear import Around
from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.hopper import Scales, fits_hopper, hopper_tile, multiply_hopper
from jackfield_torch.kernels.launch import begin, launch_options, wait_for_inputs
from jackfield_torch.kernels.scratch import Scratch

# Tokens up to which one scale for all is faster in the library, followed by another pass.
MOST_TENSOR_WISE = 512
# Bytes of weights from which on Hopper one token is rounded too, since that launch costs less than widening the weights.
_ROUNDED_ALONE = 32 << 20
_LARGEST = tl.constexpr(448.0)  # of E4M3


@triton.jit
def _round(
    x_ptr, norm_ptr, y_ptr, scale_ptr, x_stride, y_stride, size, epsilon,
    NORM: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """One token. The inputs of a block are written in the order of its bytes: byte 4 * w + j is input j * WIDTH + w."""
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < size
    if NORM:
        norm = tl.load(norm_ptr + column, mask=inside, other=0.0)
    wait_for_inputs(DEPENDENT)
    x = tl.load(x_ptr + token * x_stride + column, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        x = x * tl.rsqrt(tl.sum(x * x, 0) / size + epsilon) * norm
    scale = tl.maximum(tl.max(tl.abs(x), 0) / _LARGEST, 1e-12)
    tl.store(scale_ptr + token, scale)
    block, place = column // (4 * WIDTH), column % (4 * WIDTH)
    at = block * (4 * WIDTH) + place % WIDTH * 4 + place // WIDTH
    rounded = tl.minimum(tl.maximum(x / scale, -_LARGEST), _LARGEST).to(y_ptr.dtype.element_ty)
    tl.store(y_ptr + token * y_stride + at, rounded, mask=inside)


def round_inputs(
    x_TI: Tensor, width: int, norm_I: Tensor | None = None, epsilon: float = 0.0
) -> tuple[Tensor, Tensor]:
    """float8 [T, I] in the byte order of the blocks, and float32 [T, 1] as their factors.

    If `norm_I` is given, x is replaced by its RMS norm.
    """
    num_tokens, size = x_TI.shape
    rounded_TI = torch.empty((num_tokens, size), dtype=torch.float8_e4m3fn, device=x_TI.device)
    scale_T1 = torch.empty((num_tokens, 1), dtype=torch.float32, device=x_TI.device)
    block = triton.next_power_of_2(size)
    _round[(num_tokens,)](
        x_TI, x_TI if norm_I is None else norm_I, rounded_TI, scale_T1, x_TI.stride(0), rounded_TI.stride(0), size, epsilon,
        NORM=norm_I is not None, WIDTH=width, BLOCK=block, num_warps=4 if block <= 4096 else 8, **launch_options(x_TI.device),
    )  # fmt: skip
    return rounded_TI, scale_T1


@triton.jit
def _scale(
    x_ptr, token_scale_ptr, scale_ptr, bias_ptr, y_ptr, x_stride, y_stride, size,
    ACTIVATION: tl.constexpr, BIAS: tl.constexpr, ADD: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """BLOCK outputs of one token. With an activation up stands `size` outputs behind the gate."""
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    output = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = output < size
    scale = tl.load(scale_ptr + output, mask=inside, other=0.0)
    if ACTIVATION != "":
        up_scale = tl.load(scale_ptr + size + output, mask=inside, other=0.0)
    wait_for_inputs(DEPENDENT)
    of_token = tl.load(token_scale_ptr + token)
    x = x_ptr + token * x_stride + output
    y = tl.load(x, mask=inside, other=0.0).to(tl.float32) * (scale * of_token)
    if ACTIVATION != "":
        up = tl.load(x + size, mask=inside, other=0.0).to(tl.float32) * (up_scale * of_token)
        y = activate(y, ACTIVATION) * up
    if BIAS:
        y += tl.load(bias_ptr + output, mask=inside, other=0.0).to(tl.float32)
    target = y_ptr + token * y_stride + output
    if ADD:
        y = y.to(y_ptr.dtype.element_ty).to(tl.float32)
        y += tl.load(target, mask=inside, other=0.0).to(tl.float32)
    tl.store(target, y.to(y_ptr.dtype.element_ty), mask=inside)


def apply_scales(
    sums_TO: Tensor,
    scale_T1: Tensor,
    scale_O: Tensor,
    bias_O: Tensor | None,
    into_TO: Tensor | None = None,
    activation: str = "",
) -> Tensor:
    """Apply scales of tokens and outputs, and bias. If `into_TO` is given, add to it in place; else change the sums
    in place.

    With an activation the sums are a gate and an equal number of up, which are joined; then there is no bias.
    """
    num_tokens, size = sums_TO.shape
    y_TO = sums_TO if into_TO is None else into_TO
    if activation:
        size //= 2
        y_TO = sums_TO.new_empty(num_tokens, size)
    _scale[(num_tokens, triton.cdiv(size, 1024))](
        sums_TO, scale_T1, scale_O, scale_O if bias_O is None else bias_O, y_TO, sums_TO.stride(0), y_TO.stride(0),
        size, ACTIVATION=activation, BIAS=bias_O is not None, ADD=into_TO is not None, BLOCK=1024, num_warps=4,
        **launch_options(sums_TO.device),
    )  # fmt: skip
    return y_TO


class RoundedProduct:
    """y = (scale_t * x8) (scale_o * w8)' for steps of many tokens."""

    def __init__(self, blocks: Blocks, bias_O: Tensor | None, scratch: Scratch) -> None:
        self._width = blocks.width
        self._bias_O, self._scratch = bias_O, scratch
        self._weight_OI = blocks.words_OW.view(torch.float8_e4m3fn)
        self._scale_O = blocks.scales_GO.float().flatten().contiguous()
        self._one = torch.ones((), dtype=torch.float32, device=blocks.words_OW.device)
        self._on_hopper = fits_hopper(self._weight_OI)
        self.least_tokens = 1 if self._on_hopper and blocks.words_OW.nbytes >= _ROUNDED_ALONE else 2

    def __call__(self, x_TI: Tensor) -> Tensor:
        """y_TO in x's dtype, bfloat16."""
        if len(x_TI) <= MOST_TENSOR_WISE:
            return self.around(x_TI, Around())
        x8_TI, scale_T1 = round_inputs(x_TI, self._width)
        return torch._scaled_mm(
            x8_TI,
            self._weight_OI.t(),
            scale_T1,
            self._scale_O.unsqueeze(0),
            bias=self._bias_O,
            out_dtype=x_TI.dtype,
            use_fast_accum=True,
        )

    def around(self, x_TI: Tensor, around: Around, into_TO: Tensor | None = None) -> Tensor:
        """With the operations around it in a layer; for up to MOST_TENSOR_WISE tokens."""
        x8_TI, scale_T1 = round_inputs(x_TI, self._width, around.norm_weight_I, around.norm_epsilon)
        tile = hopper_tile(len(x_TI), *self._weight_OI.shape) if self._on_hopper else None
        if tile is not None:
            return multiply_hopper(
                x8_TI,
                self._weight_OI,
                tile,
                self._scratch,
                scales=Scales(self._scale_O, scale_T1),
                activation=around.activation,
                bias_O=self._bias_O,
                into_TO=into_TO,
            )
        sums_TO = torch._scaled_mm(
            x8_TI,
            self._weight_OI.t(),
            self._one,
            self._one,
            out_dtype=x_TI.dtype,
            use_fast_accum=True,
        )
        return apply_scales(
            sums_TO, scale_T1, self._scale_O, self._bias_O, into_TO, around.activation
        )


class NarrowRounded(NarrowProduct):
    """A product of rounded inputs for steps of few tokens: norm, rounding, product, and all operations after it."""

    most_tokens = MOST_TENSOR_WISE

    def __init__(self, product: RoundedProduct, around: Around, single: NarrowProduct) -> None:
        """`single` serves one token of small matrices, without rounding: the time is that of reading the weights."""
        self._product, self._around, self._single = product, around, single

    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """See NarrowProduct."""
        if len(x_TI) < self._product.least_tokens:
            return self._single(x_TI, into_TO)
        return self._product.around(x_TI, self._around, into_TO)


def can_round(blocks: Blocks, dtype: torch.dtype) -> bool:
    """True if the library multiplies float8 on this device, for this matrix."""
    device = blocks.words_OW.device
    return (
        device.type == "cuda"
        and torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= (8, 9)
        and dtype == torch.bfloat16
        and blocks.kind == E4M3
        and blocks.group_size == 0
        and blocks.zeros_GO is None
        and blocks.order_K is None
        and blocks.num_inputs == 4 * blocks.words_OW.shape[1]
        and blocks.num_inputs % 16 == 0
        and blocks.num_outputs % 16 == 0
    )
