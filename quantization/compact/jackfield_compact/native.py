"""Linears of the C++ kernel: weights stay compact, and are decoded in pieces for all rows at once."""

from __future__ import annotations

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.kernel import Level, Multiply, kernel_level, load_library
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.packing import WIDTH, pack, pack_whole
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.openmp import openmp_parallel

_SCALE_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_DTYPES = (torch.float32, torch.bfloat16)  # dtypes that the kernel reads and writes


class _KernelLinear(Linear):
    """Calls the kernel on a packed matrix."""

    _entry: str  # function of the library

    def __init__(
        self, matrix: CompactMatrix, bias_O: Tensor | None, call: Multiply, level: Level
    ) -> None:
        library = load_library()
        assert library is not None, "build.py asks for the kernel first"
        self._kept: list[Tensor] = []  # keeps the memory of the kernel's pointers alive
        self._call = call
        call.num_outputs, call.num_inputs = self._num_outputs, _ = matrix.shape
        call.level = level
        self._point("bias", None if bias_O is None else bias_O.float().clone())
        if (outliers := matrix.outliers) is not None:
            self._point("outlier_starts", outliers.starts.int().clone())
            self._point("outlier_inputs", outliers.inputs.int().clone())
            self._point("outlier_values", outliers.values.float().clone())
        self._multiply = getattr(library, self._entry)
        self._parallel = openmp_parallel()
        self._by_reference = ctypes.byref(call)

    def __call__(self, x_TI: Tensor) -> Tensor:
        if x_TI.dtype not in _DTYPES:
            return self(x_TI.float()).to(x_TI.dtype)
        if x_TI.stride(1) != 1:
            x_TI = x_TI.contiguous()
        num_rows = x_TI.shape[0]  # len() of a tensor is a function in Python
        y_TO = torch.empty(num_rows, self._num_outputs, dtype=x_TI.dtype)
        call = self._call
        call.x, call.x_stride = x_TI.data_ptr(), x_TI.stride(0)
        call.y = y_TO.data_ptr()
        call.num_rows = num_rows
        call.is_bf16 = x_TI.dtype == torch.bfloat16
        call.num_threads = torch.get_num_threads()
        self._multiply(self._by_reference, self._parallel)
        return y_TO

    def _point(self, name: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            self._kept.append(tensor)
            setattr(self._call, name, tensor.data_ptr())


class NativeLinear(_KernelLinear):
    """Products with the stored weights. float16 inputs are widened.

    For many rows in bfloat16, weights are rounded to bfloat16, as plain weights are.
    """

    _entry = "compact_multiply"

    def __init__(
        self, matrix: CompactMatrix, bias_O: Tensor | None, level: Level | None = None
    ) -> None:
        packed = pack(matrix)
        call = Multiply(
            num_padded=int(packed.starts[-1]),
            num_groups=len(packed.starts) - 1,
            bits=packed.bits,
            has_own=packed.has_own,
            is_affine=packed.is_affine,
            scale_type=_SCALE_TYPES[packed.scales.dtype],
        )
        super().__init__(matrix, bias_O, call, kernel_level() if level is None else level)
        for name in ("codes", "table", "table16", "scales", "offsets", "starts", "order"):
            self._point(name, getattr(packed, name))


class RoundingLinear(_KernelLinear):
    """Weights of eight bits with a scale for each output. Inputs are rounded to eight bits, with a scale for each row."""

    _entry = "compact_multiply_whole"

    def __init__(
        self, matrix: CompactMatrix, bias_O: Tensor | None, level: Level | None = None
    ) -> None:
        codes = pack_whole(matrix.codes_OI)
        scale_O = F.pad(matrix.scale_OG.float().flatten(), (0, -matrix.shape[0] % WIDTH)).clone()
        call = Multiply(
            num_padded=4 * codes.shape[1],
            num_groups=1,
            bits=8,
            scale_type=_SCALE_TYPES[torch.float32],
        )
        super().__init__(matrix, bias_O, call, kernel_level() if level is None else level)
        self._point("codes", codes)
        self._point("scales", scale_O)
        self._point("sums", codes.sum((1, 3), dtype=torch.int32).flatten().float())


def rounds(matrix: CompactMatrix) -> bool:
    """True if the producer meant a product of whole numbers and the kernel supports it."""
    return (
        matrix.rounds_inputs
        and matrix.bits == 8
        and matrix.table.ndim == 1
        and float(matrix.table[0]) == -128.0  # whole numbers
        and matrix.scale_OG.shape[1] == 1
        and matrix.offset_OG is None
        and matrix.outliers is None
    )
