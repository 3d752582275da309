"""Linears of the C++ kernel: weights stay compact, and are decoded piece by piece for all rows at once."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield_compact.kernel import Multiply, load_library, openmp_parallel
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.packing import WIDTH, pack, pack_whole
from jackfield_torch.interfaces.linear import Linear

_SCALE_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_DTYPES = (torch.float32, torch.bfloat16)  # that the kernel reads and writes


class NativeLinear(Linear):
    """Products with the exact weights; float16 inputs are widened."""

    def __init__(self, matrix: CompactMatrix, bias_O: Tensor | None) -> None:
        packed = pack(matrix)
        self._kept: list[Tensor] = []  # what the kernel points at
        self._num_outputs, num_inputs = matrix.shape
        self._call = call = Multiply(
            num_inputs=num_inputs,
            num_outputs=self._num_outputs,
            num_padded=int(packed.starts[-1]),
            num_groups=len(packed.starts) - 1,
            bits=packed.bits,
            has_own=packed.has_own,
            scale_type=_SCALE_TYPES[packed.scales.dtype],
        )
        for name in ("codes", "table", "table16", "scales", "offsets", "starts", "order"):
            self._point(name, getattr(packed, name))
        _point_at_rest(self, matrix, bias_O)
        library = load_library()
        assert library is not None, "build.py asks for the kernel first"
        self._multiply = library.compact_multiply
        self._parallel = openmp_parallel()
        self._by_reference = ctypes.byref(call)

    def __call__(self, x_TI: Tensor) -> Tensor:
        if x_TI.dtype not in _DTYPES:
            return self(x_TI.float()).to(x_TI.dtype)
        if x_TI.stride(1) != 1:
            x_TI = x_TI.contiguous()
        y_TO = torch.empty(len(x_TI), self._num_outputs, dtype=x_TI.dtype)
        call = self._call
        call.x, call.x_stride = x_TI.data_ptr(), x_TI.stride(0)
        call.y = y_TO.data_ptr()
        call.num_rows = len(x_TI)
        call.is_bf16 = x_TI.dtype == torch.bfloat16
        call.num_threads = torch.get_num_threads()
        self._multiply(self._by_reference, self._parallel)
        return y_TO

    def _point(self, name: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            self._kept.append(tensor)
            setattr(self._call, name, tensor.data_ptr())


class RoundingLinear(NativeLinear):
    """Weights of eight bits with a scale for each output; inputs are rounded to eight bits, a scale for each row."""

    def __init__(self, matrix: CompactMatrix, bias_O: Tensor | None) -> None:
        codes = pack_whole(matrix.codes_OI)
        self._kept = []
        self._num_outputs, num_inputs = matrix.shape
        scale_O1 = matrix.scale_OG.float()
        self._call = call = Multiply(
            num_inputs=num_inputs,
            num_outputs=self._num_outputs,
            num_padded=4 * codes.shape[1],
            num_groups=1,
            bits=8,
            scale_type=_SCALE_TYPES[torch.float32],
        )
        padding = -self._num_outputs % WIDTH
        self._point("codes", codes)
        self._point("scales", torch.nn.functional.pad(scale_O1.flatten(), (0, padding)).clone())
        self._point("sums", codes.sum((1, 3), dtype=torch.int32).flatten().float())
        _point_at_rest(self, matrix, bias_O)
        library = load_library()
        assert library is not None, "build.py asks for the kernel first"
        self._multiply = library.compact_multiply_whole
        self._parallel = openmp_parallel()
        self._by_reference = ctypes.byref(call)


def rounds(matrix: CompactMatrix) -> bool:
    """True where the product of whole numbers is what the producer meant and the kernel can do."""
    return (
        matrix.rounds_inputs
        and matrix.bits == 8
        and matrix.scale_OG.shape[1] == 1
        and matrix.offset_OG is None
        and matrix.outliers is None
    )


def _point_at_rest(linear: NativeLinear, matrix: CompactMatrix, bias_O: Tensor | None) -> None:
    if bias_O is not None:
        linear._point("bias", bias_O.float().clone())
    if (outliers := matrix.outliers) is not None:
        linear._point("outlier_starts", outliers.starts.int().clone())
        linear._point("outlier_inputs", outliers.inputs.int().clone())
        linear._point("outlier_values", outliers.values.float().clone())
