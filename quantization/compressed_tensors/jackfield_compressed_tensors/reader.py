"""The tensors of compressed-tensors. O outputs, I inputs, G groups.

packed: weight_packed int32 [O, I * bits / 32], weight_scale [O, G], weight_zero_point int32 [O * bits / 32, G]
naive:  weight int8 or float8 [O, I], weight_scale of the matrix, of outputs, groups or blocks, weight_zero_point int8
fp4:    weight_packed uint8 [O, I/2], weight_scale: float8 with weight_global_scale (NVFP4), or uint8 powers (MXFP4)

weight = (code - middle - zero) * scale. Codes and zero points are stored relative to the middle.
Source: the library compressed-tensors and the files of llm-compressor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.bits import unpack_bits, unpack_nibbles
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import (
    float4,
    groups_of_inputs,
    power_of_two,
    spread_scale,
    stored_numbers,
)
from jackfield_compact.tables import integers
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_BLOCK = (128, 128)
_INPUTS = ("input_scale", "input_zero_point", "input_global_scale")
# Meaning for weights of the library's preset names, as far as tensors do not show it.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "W4A16": {"num_bits": 4, "group_size": 128},
    "W4A16_ASYM": {"num_bits": 4, "group_size": 128},
    "W8A16": {"num_bits": 8, "group_size": 128},
    "W8A8": {"num_bits": 8, "input_bits": 8},
    "INT8": {"num_bits": 8, "input_bits": 8},
    "W4A8": {"num_bits": 4, "group_size": 128},
}


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
    weights = _weights(part)
    bits = _bits(part, packed, weights.get("num_bits", 4))
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
    weights = _weights(part)
    num_outputs, num_inputs = weight_OI.shape
    block = weights.get("block_structure") or _BLOCK
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


def _weights(part: LinearPart) -> Mapping[str, Any]:
    """The config's entries for weights."""
    preset = _PRESETS.get(str(part.settings.get("preset", "")).upper(), {})
    return {**preset, **(part.settings.get("weights") or {})}


def _rounds_inputs(part: LinearPart) -> bool:
    """True if inputs are int8 with a scale for each row."""
    inputs = part.settings.get("input_activations")
    if inputs is None:
        return bool(_weights(part).get("input_bits"))
    is_int8 = inputs.get("type") == "int" and inputs.get("num_bits") == 8
    return is_int8 and bool(inputs.get("dynamic")) and inputs.get("strategy") == "token"


def _bits(part: LinearPart, packed: Tensor, claimed: int) -> int:
    """The number of bits from the shape, which counts before the config."""
    for bits in (claimed, *range(2, 9)):
        if packed.shape[1] in (-(-part.in_size * bits // 32), _loose_words(part.in_size, bits)):
            return int(bits)
    raise CheckpointError(
        f"weight_packed of {part.name} has shape {tuple(packed.shape)}, which no number of bits from 2 to 8 gives for "
        f"{part.in_size} inputs. Fetch the file again"
    )


def _unpack(words: Tensor, bits: int, axis: int, count: int) -> Tensor:
    """Codes without gaps, or whole codes in each word with unused bits at its end."""
    if words.shape[axis] == -(-count * bits // 32):
        return unpack_bits(words, bits, axis, count)
    in_a_word = 32 // bits
    shifts = torch.arange(in_a_word, dtype=torch.int64) * bits
    stream = words.movedim(axis, -1).long() & 0xFFFFFFFF
    codes = (stream.unsqueeze(-1) >> shifts) & (2**bits - 1)
    kept: Tensor = codes.flatten(-2)[..., :count].to(torch.uint8).movedim(-1, axis).contiguous()
    return kept


def _loose_words(count: int, bits: int) -> int:
    return -(-count // (32 // bits))


def _groups(part: LinearPart, shard: LinearShard, num_groups: int, size: object) -> Tensor:
    if shard.has(part, "weight_g_idx"):  # act-order, until release 0.12
        group_I = shard.read_stored(part, "weight_g_idx").long()
        if int(group_I.min()) >= 0:
            return group_I
    return groups_of_inputs(part.in_size, num_groups, size, part.name)
