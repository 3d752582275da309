"""Codes of a few bits in the words of a checkpoint. All words are little-endian."""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 32  # bits
_PLANES = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}  # widths in GPTQModel's `gptq_p`


def unpack_bits(words: Tensor, bits: int, axis: int, count: int) -> Tensor:
    """uint8 codes from integer words along `axis`; `count` of them are kept.

    The words are one stream of bits, the lowest first. Codes of 3 bits straddle words: three words hold 32 of them.
    GPTQ, SqueezeLLM and compressed-tensors (0.13 and later) store so.
    """
    stream = words.movedim(axis, -1).clone(memory_format=torch.contiguous_format)
    octets = stream.view(torch.uint8)  # words along the last axis become their bytes
    if 8 % bits == 0:
        shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
        codes = (octets.unsqueeze(-1) >> shifts) & (2**bits - 1)
        codes = codes.flatten(-2)
    else:
        codes = _straddling(octets, bits)
    kept: Tensor = codes[..., :count].movedim(-1, axis).contiguous()
    return kept


def pack_bits(codes: Tensor, bits: int, axis: int) -> Tensor:
    """int32 words of codes below 2**bits, the inverse of `unpack_bits`. The last word is padded with zeros."""
    stream = codes.movedim(axis, -1).to(torch.int64)
    num_words = -(-stream.shape[-1] * bits // _WORD)
    words = torch.zeros(*stream.shape[:-1], num_words + 1, dtype=torch.int64)
    start = torch.arange(stream.shape[-1]) * bits
    shifted = stream << (start % _WORD)  # no two codes share a bit, so sums are unions
    index = (start // _WORD).expand_as(stream)
    words.scatter_add_(-1, index, shifted & 0xFFFFFFFF)
    words.scatter_add_(-1, index + 1, shifted >> _WORD)
    packed = words[..., :num_words]
    signed = torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
    return signed.movedim(-1, axis).contiguous()


def unpack_planes(words: Tensor, bits: int, axis: int, count: int) -> Tensor:
    """The same from bit planes: for each 32 codes, the lowest bits are in words of their own, followed by higher bits.

    Source: GPTQModel 7, `checkpoint_format` gptq_p.
    """
    if bits not in _PLANES:
        return unpack_bits(words, bits, axis, count)
    blocks = _in_runs(words.movedim(axis, -1), bits)
    codes = torch.zeros(*blocks.shape[:-1], _WORD, dtype=torch.uint8)
    word = offset = 0
    for width in _PLANES[bits]:
        plane = blocks[..., word : word + width].contiguous()
        codes |= unpack_bits(plane, width, -1, _WORD) << offset
        word, offset = word + width, offset + width
    kept: Tensor = codes.flatten(-2)[..., :count].movedim(-1, axis).contiguous()
    return kept


def unpack_nibbles(octets: Tensor, *, high_first: bool = False) -> Tensor:
    """Two codes from each byte along the last axis, whose length doubles."""
    low, high = octets & 15, octets >> 4
    pair = (high, low) if high_first else (low, high)
    return torch.stack(pair, -1).flatten(-2)


def _straddling(octets: Tensor, bits: int) -> Tensor:
    """Codes of which eight take `bits` bytes. No code is in more than two bytes."""
    whole = torch.nn.functional.pad(octets, (0, -octets.shape[-1] % bits))
    groups = _in_runs(whole, bits).to(torch.int32)
    following = torch.nn.functional.pad(groups, (0, 1))
    start = torch.arange(8) * bits
    first, shift = start // 8, (start % 8).to(torch.int32)
    pairs = following[..., first] | (following[..., first + 1] << 8)
    codes: Tensor = ((pairs >> shift) & (2**bits - 1)).to(torch.uint8).flatten(-2)
    return codes


def _in_runs(tensor: Tensor, length: int) -> Tensor:
    """The last axis as [runs, length]."""
    return tensor.reshape(*tensor.shape[:-1], -1, length)
