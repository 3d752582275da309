"""Codes in the order of the Triton kernels. O outputs, K inputs sorted by group and padded, G groups.

A word of 32 bits holds codes of several inputs. A block is WIDTH words of an output: code j of word w stands for input
j * WIDTH + w of the block, so that codes j of neighbouring words are neighbouring inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.packing import order_by_group
from jackfield_compact.tables import float8

INTEGER, E4M3, E5M2, TABLE, OWN_TABLES = "integer", "e4m3", "e5m2", "table", "own tables"
_WIDTHS = (32, 16)  # words
_LEAST_RUN = 16  # inputs; tensor cores take at least this many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """weight[o, k] = scale[g, o] * (value(code) - zero[g, o]), where g = k // group_size."""

    words_OW: Tensor  # int32
    bits: int  # 2, 4 or 8
    kind: str  # what a code stands for
    table: Tensor | None  # float32 [2**bits] or [O, 2**bits], for kinds with a table
    scales_GO: Tensor  # as stored
    zeros_GO: Tensor | None  # float32, or uint8 if all are whole numbers; None: `zero` for all
    zero: float
    group_size: int  # 0: one group
    num_inputs: int  # inputs of x in this order; the rest of the last block is padding
    width: int  # words of a block
    # int64, the input at each place, `fill` for none. None: the inputs are in order.
    order_K: Tensor | None
    has_holes: bool  # True: some places hold no input

    @property
    def num_outputs(self) -> int:
        """Outputs of the whole matrix."""
        return len(self.words_OW)

    @property
    def codes_of_word(self) -> int:
        """Number of codes in a word."""
        return 32 // self.bits

    @property
    def num_bytes(self) -> int:
        """Bytes that a product reads: codes, scales, zeros."""
        zeros = 0 if self.zeros_GO is None else self.zeros_GO.nbytes
        return self.words_OW.nbytes + self.scales_GO.nbytes + zeros


def block_order(matrix: CompactMatrix, device: torch.device) -> Blocks | None:
    """The matrix without its outliers, on the device. None: it has a scale of zero with an offset."""
    offset_OG = matrix.offset_OG
    scale_OG = matrix.scale_OG
    if offset_OG is not None and bool(((scale_OG == 0) & (offset_OG != 0)).any()):
        return None
    bits = next(bits for bits in (2, 4, 8) if bits >= matrix.bits)
    kind, zero = _kind(matrix.table)
    size = _group_size(matrix.group_I)
    num_inputs = matrix.shape[1]
    order_K, has_holes = None, False
    if size is None:  # groups of other sizes become runs, each with a scale
        size = _LEAST_RUN
        order_K, _ = order_by_group(matrix, size)
        group_R = matrix.group_I[order_K.view(-1, size)[:, 0]]
        scale_OG = scale_OG[:, group_R]
        offset_OG = None if offset_OG is None else offset_OG[:, group_R]
        has_holes = bool((order_K < 0).any())
        num_inputs = len(order_K)
    elif bool((matrix.group_I.diff() < 0).any()):
        order_K = matrix.group_I.argsort(stable=True)
    codes_OK = matrix.codes_OI if order_K is None else matrix.codes_OI[:, order_K.clamp_min(0)]
    width = _width(num_inputs, size, 32 // bits)
    words_OW = _words(codes_OK, bits, width)
    num_groups = -(-words_OW.shape[1] * (32 // bits) // size) if size else 1
    zeros_GO = None
    if offset_OG is not None:
        zeros_GO = zero + offset_OG.float() / torch.where(scale_OG == 0, 1.0, scale_OG.float())
        zeros_GO = _in_groups(_whole(zeros_GO) if kind == INTEGER else zeros_GO, num_groups, device)
    if order_K is not None:
        order_K = torch.where(order_K < 0, matrix.shape[1], order_K).to(device)
    return Blocks(
        words_OW=words_OW.to(device),
        bits=bits,
        kind=kind,
        table=_padded_table(matrix.table, bits).to(device) if kind in (TABLE, OWN_TABLES) else None,
        scales_GO=_in_groups(_narrow(scale_OG), num_groups, device),
        zeros_GO=zeros_GO,
        zero=zero,
        group_size=size,
        num_inputs=num_inputs,
        width=width,
        order_K=order_K,
        has_holes=has_holes,
    )


def _kind(table: Tensor) -> tuple[str, float]:
    """The kind of the codes, and the number that is subtracted from a code."""
    if table.ndim == 2:
        return OWN_TABLES, 0.0
    if torch.equal(table - table[0], torch.arange(len(table)).float()):
        return INTEGER, -float(table[0])
    for kind, dtype in ((E4M3, torch.float8_e4m3fn), (E5M2, torch.float8_e5m2)):
        if len(table) == 256 and torch.equal(table, float8(dtype)):
            return kind, 0.0
    return TABLE, 0.0


def _group_size(group_I: Tensor) -> int | None:
    """Inputs of a group, 0 for a single group. None: groups have different sizes or do not fill runs."""
    counts = torch.bincount(group_I).tolist()
    if len(counts) == 1:
        return 0
    size = counts[0]
    is_regular = all(count == size for count in counts[:-1]) and 0 < counts[-1] <= size
    fills = size >= _LEAST_RUN and size & (size - 1) == 0
    return size if is_regular and fills else None


def _width(num_inputs: int, group_size: int, codes_of_word: int) -> int:
    """The largest width that divides groups and inputs, otherwise the smallest."""
    for width in _WIDTHS:
        if num_inputs % (width * codes_of_word) == 0 and group_size % width == 0:
            return width
    return _WIDTHS[-1]


def _words(codes_OK: Tensor, bits: int, width: int) -> Tensor:
    """int32 [O, W]; the last block is padded with codes of zero."""
    per_word = 32 // bits
    padded = F.pad(codes_OK, (0, -codes_OK.shape[1] % (width * per_word)))
    blocks = padded.view(len(padded), -1, per_word, width)
    octets = blocks.new_zeros(len(padded), blocks.shape[1], width, 4)
    in_octet = 8 // bits
    for index in range(per_word):
        octets[..., index // in_octet] |= blocks[:, :, index] << bits * (index % in_octet)
    words_OW: Tensor = octets.view(torch.int32).flatten(1)
    return words_OW


def _in_groups(values_OG: Tensor, num_groups: int, device: torch.device) -> Tensor:
    """[G, O], with zeros for groups of padding."""
    padded = F.pad(values_OG, (0, num_groups - values_OG.shape[1]))
    return padded.T.contiguous().to(device)


def _narrow(scale_OG: Tensor) -> Tensor:
    """In 16 bits if this loses nothing."""
    for dtype in (torch.bfloat16, torch.float16):
        if scale_OG.dtype == torch.float32 and torch.equal(scale_OG.to(dtype).float(), scale_OG):
            return scale_OG.to(dtype)
    return scale_OG


def _whole(zeros_OG: Tensor) -> Tensor:
    """As bytes if they are whole numbers except for the rounding of a quotient."""
    rounded = zeros_OG.round()
    near = (zeros_OG - rounded).abs() <= 1e-4
    if bool((near & (rounded >= 0) & (rounded <= 255)).all()):
        return rounded.to(torch.uint8)
    return zeros_OG


def _padded_table(table: Tensor, bits: int) -> Tensor:
    return F.pad(table.float(), (0, 2**bits - table.shape[-1])).contiguous()
