"""Stands in for xformers.ops.fmha 0.0.35: its biases, the shapes of groups, and what its two operators support."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from paged_math import Masks, attend_pages, attend_row


def _ints(values, device):
    return torch.tensor(values, dtype=torch.int32, device=device)


@dataclass
class _Lengths:
    lengths: list
    seqlen: torch.Tensor
    seqstart: torch.Tensor

    @classmethod
    def of(cls, lengths, device):
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        return cls(list(lengths), _ints(lengths, device), _ints(starts, device))


@dataclass
class BlockDiagonalMask:
    q_seqinfo: _Lengths
    k_seqinfo: _Lengths
    right = -1

    @classmethod
    def from_seqlens(cls, q_seqlen, kv_seqlen=None, *, device=None):
        assert len(q_seqlen) == len(kv_seqlen)
        return cls(_Lengths.of(q_seqlen, device), _Lengths.of(kv_seqlen, device))


class BlockDiagonalCausalFromBottomRightMask(BlockDiagonalMask):
    right = 0

    def __post_init__(self):
        pairs = zip(self.q_seqinfo.lengths, self.k_seqinfo.lengths, strict=True)
        assert all(keys >= queries for queries, keys in pairs)


@dataclass
class PagedBlockDiagonalCausalWithOffsetPaddedKeysMask:
    q_seqinfo: _Lengths
    k_seqinfo: _Lengths
    block_tables: torch.Tensor
    page_size: int

    @classmethod
    def from_seqlens(cls, q_seqlen, kv_seqlen, block_tables, page_size, *, device=None):
        padding = block_tables.shape[1] * page_size
        assert all(length <= padding for length in kv_seqlen)
        q, k = (_Lengths.of(lengths, device) for lengths in (q_seqlen, kv_seqlen))
        return cls(q, k, block_tables, page_size)


attn_bias = SimpleNamespace(
    BlockDiagonalMask=BlockDiagonalMask,
    BlockDiagonalCausalFromBottomRightMask=BlockDiagonalCausalFromBottomRightMask,
    PagedBlockDiagonalCausalWithOffsetPaddedKeysMask=PagedBlockDiagonalCausalWithOffsetPaddedKeysMask,
)


class _Operator:
    @classmethod
    def is_available(cls):
        return True

    @classmethod
    def apply(cls, inp, needs_gradient):
        assert not needs_gradient
        inp.check()
        q, k, v = inp.query[0].flatten(1, 2), inp.key[0, :, :, 0], inp.value[0, :, :, 0]
        return cls.attend(q, k, v, inp.attn_bias, inp.scale).view(inp.query.shape), None


class _SplitK(_Operator):
    NAME = "triton_splitKF"

    @staticmethod
    def attend(q, k, v, bias, scale):
        assert type(bias) is PagedBlockDiagonalCausalWithOffsetPaddedKeysMask
        assert bias.page_size % 64 == 0, "page size should be divisible by the block size"
        assert k.shape[0] % bias.page_size == 0
        assert q.shape[-1] in {16, 32, 64, 128, 256, 512}
        lengths = bias.k_seqinfo.seqlen
        assert lengths.dtype == bias.block_tables.dtype == torch.int32
        assert lengths.stride(0) == 1
        assert max(bias.q_seqinfo.lengths) == min(bias.q_seqinfo.lengths) <= 16
        pages = (x.unflatten(0, (-1, bias.page_size)) for x in (k, v))
        starts = bias.q_seqinfo.seqstart
        return attend_pages(q, *pages, starts, lengths, bias.block_tables, scale, Masks(right=0))


class _Flash(_Operator):
    NAME = "fa2F@2.5.7-pt"

    @staticmethod
    def attend(q, k, v, bias, scale):
        assert isinstance(bias, BlockDiagonalMask)
        assert q.shape[-1] % 8 == 0
        assert q.shape[-1] <= 256
        queries = q.split(bias.q_seqinfo.lengths)
        keys, values = (x.split(bias.k_seqinfo.lengths) for x in (k, v))
        rows = zip(queries, keys, values, strict=True)
        return torch.cat([attend_row(*row, scale, Masks(right=bias.right)) for row in rows])


triton_splitk = SimpleNamespace(FwOp=_SplitK)
flash = SimpleNamespace(FwOp=_Flash)


@dataclass
class Inputs:
    """Queries [1, tokens, groups, heads of a group, elements]; keys of a group are one head that is expanded."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_bias: object = None
    p: float = 0.0
    scale: float | None = None
    output_dtype: torch.dtype | None = None
    is_partial: bool = False

    def check(self):
        query, key, value = self.query, self.key, self.value
        assert query.dtype == key.dtype == value.dtype
        assert query.dtype in (torch.float16, torch.bfloat16)
        assert query.dim() == key.dim() == value.dim() == 5
        assert query.shape[0] == key.shape[0] == 1
        assert query.shape[2:] == key.shape[2:] == value.shape[2:]
        assert query.stride(-1) == key.stride(-1) == 1
        assert key.shape[3] == 1 or key.stride(3) == value.stride(3) == 0
        assert query.shape[1] == sum(self.attn_bias.q_seqinfo.lengths)
