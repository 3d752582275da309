"""A quantized matrix in the form that all schemes read into. O outputs, I inputs, G groups of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield.model_spec import Offset, Transform, Transpose
from jackfield_torch.transforms import apply_transforms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outliers:
    """Weights that are added to those of the codes, as a sparse matrix in rows (CSR)."""

    starts: Tensor  # int32 [O + 1], where the weights of each output begin
    inputs: Tensor  # int32 [number]
    values: Tensor  # float32 [number]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompactMatrix:
    """weight[o, i] = scale[o, g] * table[codes[o, i]] - offset[o, g], where g is the group of input i."""

    # uint8, below 2**bits. Codes and scales are on the host, or on the device if weights were rounded there.
    codes_OI: Tensor
    bits: int  # of a code, 1 to 8
    table: Tensor  # float32 [2**bits]; [O, 2**bits] if each output has its own
    scale_OG: Tensor  # float32, float16 or bfloat16, as stored
    offset_OG: Tensor | None = None  # float32; None: zero
    group_I: Tensor  # int64; need not rise (act-order)
    outliers: Outliers | None = None
    # True: inputs are meant to be rounded to eight bits, with a scale for each row. This is done if it is faster.
    rounds_inputs: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        num_outputs, num_inputs = self.codes_OI.shape
        return num_outputs, num_inputs

    def dequantise(self) -> Tensor:
        """float32 [O, I]: the values of the stored numbers."""
        table = self.table.to(self.codes_OI.device)
        if table.ndim == 1:
            values_OI = table[self.codes_OI.int()]
        else:
            values_OI = table.gather(1, self.codes_OI.long())
        weight_OI = values_OI * self.scale_OG.float()[:, self.group_I]
        if self.offset_OG is not None:
            weight_OI -= self.offset_OG.float()[:, self.group_I]
        if self.outliers is not None:
            rows = _row_of_each(self.outliers)
            weight_OI.index_put_(
                (rows, self.outliers.inputs.long()), self.outliers.values, accumulate=True
            )
        return weight_OI

    def outputs(self, index_O: Tensor) -> CompactMatrix:
        """The outputs with these indices, in their order."""
        has_own = self.table.ndim == 2
        return replace(
            self,
            codes_OI=self.codes_OI[index_O],
            table=self.table[index_O] if has_own else self.table,
            scale_OG=self.scale_OG[index_O],
            offset_OG=None if self.offset_OG is None else self.offset_OG[index_O],
            outliers=None if self.outliers is None else _outputs_of(self.outliers, index_O),
        )

    def inputs(self, start: int, stop: int) -> CompactMatrix:
        """Inputs [start, stop), with their groups."""
        groups, group_I = torch.unique(self.group_I[start:stop], return_inverse=True)
        return replace(
            self,
            codes_OI=self.codes_OI[:, start:stop].contiguous(),
            scale_OG=self.scale_OG[:, groups],
            offset_OG=None if self.offset_OG is None else self.offset_OG[:, groups],
            group_I=group_I,
            outliers=None if self.outliers is None else _inputs_of(self.outliers, start, stop),
        )

    def undo(self, transforms: Sequence[Transform]) -> CompactMatrix:
        """The matrix after transforms of a spec that choose outputs. Raises CheckpointError for other transforms.

        A Transpose changes nothing: quantized matrices are stored as [output, input] even if plain ones are not.
        """
        for transform in transforms:
            if isinstance(transform, Offset):
                raise CheckpointError(
                    f"a quantized matrix cannot be read through {transform}; splits and permutations of outputs "
                    "are allowed. Take a checkpoint of this model with plain weights"
                )
        chosen = [transform for transform in transforms if not isinstance(transform, Transpose)]
        if not chosen:
            return self
        return self.outputs(apply_transforms(torch.arange(self.shape[0]), chosen))


def can_join(matrices: Sequence[CompactMatrix]) -> bool:
    """True if all can be rows of one matrix: equal codes and equal groups."""
    first, *others = matrices
    return all(
        other.bits == first.bits
        and other.rounds_inputs == first.rounds_inputs
        and other.shape[1] == first.shape[1]
        and (other.offset_OG is None) == (first.offset_OG is None)
        and torch.equal(other.group_I, first.group_I)
        and other.table.ndim == first.table.ndim
        and (first.table.ndim == 2 or torch.equal(other.table, first.table))
        for other in others
    )


def join(matrices: Sequence[CompactMatrix]) -> CompactMatrix:
    """The outputs of all, one after another. `can_join` must be true."""
    first = matrices[0]
    if len(matrices) == 1:
        return first
    has_own = first.table.ndim == 2
    offsets = [matrix.offset_OG for matrix in matrices if matrix.offset_OG is not None]
    return replace(
        first,
        codes_OI=torch.cat([matrix.codes_OI for matrix in matrices]),
        table=torch.cat([matrix.table for matrix in matrices]) if has_own else first.table,
        scale_OG=torch.cat([matrix.scale_OG for matrix in matrices]),
        offset_OG=torch.cat(offsets) if offsets else None,
        outliers=_join_outliers(matrices),
    )


def _row_of_each(outliers: Outliers) -> Tensor:
    counts = outliers.starts.diff().long()
    return torch.repeat_interleave(torch.arange(len(counts)), counts)


def _outputs_of(outliers: Outliers, index_O: Tensor) -> Outliers:
    counts = outliers.starts.diff()[index_O].long()
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    within = torch.arange(int(starts[-1])) - starts[:-1].repeat_interleave(counts)
    taken = outliers.starts[index_O].long().repeat_interleave(counts) + within
    return Outliers(
        starts=starts.int(), inputs=outliers.inputs[taken], values=outliers.values[taken]
    )


def _inputs_of(outliers: Outliers, start: int, stop: int) -> Outliers:
    is_kept = (outliers.inputs >= start) & (outliers.inputs < stop)
    counts = torch.bincount(_row_of_each(outliers)[is_kept], minlength=len(outliers.starts) - 1)
    return Outliers(
        starts=torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int(),
        inputs=outliers.inputs[is_kept] - start,
        values=outliers.values[is_kept],
    )


def _join_outliers(matrices: Sequence[CompactMatrix]) -> Outliers | None:
    if all(matrix.outliers is None for matrix in matrices):
        return None
    none = torch.empty(0)
    found = [
        matrix.outliers
        or Outliers(
            starts=torch.zeros(matrix.shape[0] + 1, dtype=torch.int32),
            inputs=none.int(),
            values=none,
        )
        for matrix in matrices
    ]
    counts = torch.cat([one.starts.diff() for one in found]).long()
    return Outliers(
        starts=torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int(),
        inputs=torch.cat([one.inputs for one in found]),
        values=torch.cat([one.values for one in found]),
    )
