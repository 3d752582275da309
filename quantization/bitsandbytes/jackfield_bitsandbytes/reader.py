"""The tensors of bitsandbytes. O outputs, I inputs.

4 bits: weight uint8 [O * I / 2, 1], the higher nibble first; weight.quant_map [16]; weight.absmax, a scale for each
        `blocksize` weights in a row, float32 or codes into weight.nested_quant_map with weight.nested_absmax;
        weight.quant_state.bitsandbytes__nf4 (or fp4): JSON with blocksize, shape, nested_blocksize, nested_offset
8 bits: weight int8 [O, I], SCB float32 [O]; weight = code * SCB / 127
Source: Dettmers et al. 2023, *QLoRA*; Dettmers et al. 2022, *LLM.int8()*.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_bitsandbytes.scheme import STATES
from jackfield_compact.bits import unpack_nibbles
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import stored_numbers
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_NESTED_BLOCK = 256
_LARGEST = 127


def read_bitsandbytes(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    state = next((name for name in STATES if shard.has(part, name)), None)
    if state is None:
        return _int8(part, shard)
    values = json.loads(bytes(shard.read_stored(part, state).numpy()))
    return _four_bits(part, shard, values)


def _four_bits(part: LinearPart, shard: LinearShard, state: dict[str, Any]) -> CompactMatrix:
    num_outputs, num_inputs = state["shape"]
    stored = shard.read_stored(part, "weight").flatten()
    if 2 * len(stored) != num_outputs * num_inputs:
        raise CheckpointError(
            f"weight of {part.name} has {len(stored)} bytes; its quant_state says {state['shape']}, two to a byte. "
            "Fetch the file again"
        )
    codes_OI = unpack_nibbles(stored, high_first=True).view(num_outputs, num_inputs)
    block = state["blocksize"]
    scales = _absmax(part, shard, state)
    # Blocks run on from one output to the next, so a group is the part of a block that belongs to one output.
    size = math.gcd(block, num_inputs)
    first = torch.arange(0, num_outputs * num_inputs, size)
    return CompactMatrix(
        codes_OI=codes_OI,
        bits=4,
        table=shard.read_stored(part, "weight.quant_map").float(),
        scale_OG=scales[first // block].view(num_outputs, -1),
        group_I=torch.arange(num_inputs) // size,
    )


def _absmax(part: LinearPart, shard: LinearShard, state: dict[str, Any]) -> Tensor:
    stored = shard.read_stored(part, "weight.absmax")
    if stored.dtype != torch.uint8:
        return stored.float()
    table, nested = (
        shard.read_stored(part, f"weight.{name}").float()
        for name in ("nested_quant_map", "nested_absmax")
    )
    block = torch.arange(len(stored)) // state.get("nested_blocksize", _NESTED_BLOCK)
    offset: float = state["nested_offset"]
    return table[stored.int()] * nested[block] + offset


def _int8(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    weight_OI = shard.read_stored(part, "weight")
    if weight_OI.dtype != torch.int8:
        raise CheckpointError(
            f"weight of {part.name} is {weight_OI.dtype} without a quant_state; bitsandbytes stores uint8 with one, or "
            "int8 with SCB. Fetch the file again"
        )
    if shard.has(part, "weight_format"):
        shard.read_stored(part, "weight_format")
    scale_O1 = shard.read_stored(part, "SCB").float().unsqueeze(1) / _LARGEST
    return stored_numbers(weight_OI, scale_O1, torch.zeros(weight_OI.shape[1], dtype=torch.int64))
