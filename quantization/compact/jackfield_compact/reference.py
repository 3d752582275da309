"""The portable linear: weights stay compact and are dequantised for each call. It works on any device, but slowly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.matrix import CompactMatrix
from jackfield_torch.interfaces.linear import Linear

_NIBBLE = 4  # bits; codes of at most this size share bytes


class ReferenceLinear(Linear):
    """y = x w' + bias, where w exists for one call only."""

    def __init__(
        self, matrix: CompactMatrix, bias_O: Tensor | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._num_inputs = matrix.shape[1]
        self._is_paired = matrix.bits <= _NIBBLE
        codes_OI = _paired(matrix.codes_OI) if self._is_paired else matrix.codes_OI
        self._codes_OI = _own(codes_OI, device)
        self._table = _own(matrix.table, device)
        self._scale_OG = _own(matrix.scale_OG, device)
        self._offset_OG = None if matrix.offset_OG is None else _own(matrix.offset_OG, device)
        self._group_I = matrix.group_I.int().to(device)
        self._outliers = None
        if matrix.outliers is not None:
            counts = matrix.outliers.starts.diff().long()
            rows = torch.arange(len(counts)).repeat_interleave(counts)
            index = torch.stack([rows, matrix.outliers.inputs.long()]).to(device)
            self._outliers = index, _own(matrix.outliers.values, device)
        self._bias_O = None if bias_O is None else bias_O.to(device, dtype)

    def __call__(self, x_TI: Tensor) -> Tensor:
        return F.linear(x_TI, self._weight().to(x_TI.dtype), self._bias_O)

    def _weight(self) -> Tensor:
        """float32 [O, I]."""
        codes_OI = self._codes_OI
        if self._is_paired:
            codes_OI = torch.stack([codes_OI & 15, codes_OI >> 4], -1).flatten(1)
            codes_OI = codes_OI[:, : self._num_inputs]
        if self._table.ndim == 1:
            weight_OI = self._table[codes_OI.int()]
        else:
            weight_OI = self._table.gather(1, codes_OI.long())
        weight_OI *= self._scale_OG[:, self._group_I]
        if self._offset_OG is not None:
            weight_OI -= self._offset_OG[:, self._group_I]
        if self._outliers is not None:
            (rows, inputs), values = self._outliers
            weight_OI.index_put_((rows, inputs), values, accumulate=True)
        return weight_OI


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device, in memory that holds nothing else."""
    moved = tensor.to(device)
    return (
        moved.clone(memory_format=torch.contiguous_format)
        if moved is tensor
        else moved.contiguous()
    )


def _paired(codes_OI: Tensor) -> Tensor:
    """Two codes in each byte, the lower bits first."""
    even_OI = F.pad(codes_OI, (0, codes_OI.shape[1] % 2))
    return even_OI[:, ::2] | even_OI[:, 1::2] << 4
