"""The tensors of compressed-tensors. O outputs, I inputs, G groups.

packed: weight_packed int32 [O, I * bits / 32], weight_scale [O, G], weight_zero_point int32 [O * bits / 32, G]
naive:  weight int8 or float8 [O, I], weight_scale of the matrix, of outputs, groups or blocks, weight_zero_point int8
fp4:    weight_packed uint8 [O, I/2], weight_scale: float8 with weight_global_scale (NVFP4), or uint8 powers (MXFP4)

weight = (code - middle - zero) * scale. Codes and zero points are stored relative to the middle.
Source: the library compressed-tensors and the files of llm-compressor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.bits import unpack_bits, unpack_nibbles
from jackfield_compact.layout import num_words
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import (
    float4,
    groups_of_inputs,
    power_of_two,
    spread_scale,
    stored_numbers,
)
from jackfield_compact.tables import integers
from jackfield_compressed_tensors.layout import BLOCK, packed_bits, weights_of
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_INPUTS = ("input_scale", "input_zero_point", "input_global_scale")


def read_compressed(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    # Inputs are not rounded by stored scales, which are read so that they count as used.
    for name in _INPUTS:
        if shard.has(part, name):
            shard.read_stored(part, name)
    if shard.has(part, "weight_packed"):
        packed = shard.read_stored(part, "weight_packed")
        read = _float4 if packed.dtype == torch.uint8 else _packed
        return read(part, shard, packed)
    return _naive(part, shard, shard.read_stored(part, "weight"))


def _packed(part: LinearPart, shard: LinearShard, packed: Tensor) -> CompactMatrix:
    if shard.has(part, "weight_shape"):
        shard.read_stored(part, "weight_shape")
    weights = weights_of(part.settings)
    bits = packed_bits(part.name, part.in_size, tuple(packed.shape), weights.get("num_bits", 4))
    scale_OG = shard.read_stored(part, "weight_scale")
    num_outputs, num_groups = scale_OG.shape
    half = 2 ** (bits - 1)
    offset_OG = None
    if shard.has(part, "weight_zero_point"):
        stored = shard.read_stored(part, "weight_zero_point")
        stored_OG = _unpack(stored, bits, 0, num_outputs)
        offset_OG = (stored_OG.float() - half) * scale_OG.float()
    return CompactMatrix(
        codes_OI=_unpack(packed, bits, 1, part.in_size),
        bits=bits,
        table=integers(bits, half),
        scale_OG=scale_OG,
        offset_OG=offset_OG,
        group_I=_groups(part, shard, num_groups, weights.get("group_size")),
    )


def _float4(part: LinearPart, shard: LinearShard, packed: Tensor) -> CompactMatrix:
    codes_OI = unpack_nibbles(packed)
    scale_OG = shard.read_stored(part, "weight_scale")
    if scale_OG.dtype == torch.uint8:
        return float4(codes_OI, power_of_two(scale_OG))
    whole = shard.read_stored(part, "weight_global_scale").float()
    return float4(codes_OI, scale_OG.float() / whole)


def _naive(part: LinearPart, shard: LinearShard, weight_OI: Tensor) -> CompactMatrix:
    if weight_OI.dtype.itemsize != 1:
        raise CheckpointError(
            f"weight of {part.name} is {weight_OI.dtype}, expected int8 or float8. Check that the config belongs to "
            "this checkpoint"
        )
    weights = weights_of(part.settings)
    num_outputs, num_inputs = weight_OI.shape
    block = weights.get("block_structure") or BLOCK
    scale = shard.read_stored(part, "weight_scale")
    scale_OG = spread_scale(scale, (num_outputs, num_inputs), block, part.name)
    is_block = scale.ndim == 2 and scale.shape != scale_OG.shape and scale.numel() > 1
    size = block[1] if is_block else weights.get("group_size")
    zero_OG = None
    if shard.has(part, "weight_zero_point"):
        zero_OG = shard.read_stored(part, "weight_zero_point")
    return stored_numbers(
        weight_OI,
        scale_OG,
        _groups(part, shard, scale_OG.shape[1], size),
        bits=weights.get("num_bits") or 8,
        zero_OG=zero_OG,
        rounds_inputs=_rounds_inputs(part),
    )


def _rounds_inputs(part: LinearPart) -> bool:
    """True if inputs are int8 with a scale for each row."""
    inputs = part.settings.get("input_activations")
    if inputs is None:
        return bool(weights_of(part.settings).get("input_bits"))
    is_int8 = inputs.get("type") == "int" and inputs.get("num_bits") == 8
    return is_int8 and bool(inputs.get("dynamic")) and inputs.get("strategy") == "token"


def _unpack(words: Tensor, bits: int, axis: int, count: int) -> Tensor:
    """Codes without gaps, or whole codes in each word with unused bits at its end."""
    if words.shape[axis] == num_words(count, bits):
        return unpack_bits(words, bits, axis, count)
    in_a_word = 32 // bits
    shifts = torch.arange(in_a_word, dtype=torch.int64) * bits
    stream = words.movedim(axis, -1).long() & 0xFFFFFFFF
    codes = (stream.unsqueeze(-1) >> shifts) & (2**bits - 1)
    kept: Tensor = codes.flatten(-2)[..., :count].to(torch.uint8).movedim(-1, axis).contiguous()
    return kept


def _groups(part: LinearPart, shard: LinearShard, num_groups: int, size: object) -> Tensor:
    if shard.has(part, "weight_g_idx"):  # act-order, until release 0.12
        group_I = shard.read_stored(part, "weight_g_idx").long()
        if int(group_I.min()) >= 0:
            return group_I
    return groups_of_inputs(part.in_size, num_groups, size, part.name)
