"""GPTQ's tensors. O outputs, I inputs, G groups.

qweight int32 [I * bits / 32, O], qzeros int32 [G, O * bits / 32], scales [G, O], g_idx int32 [I].
weight = (code - zero) * scale. `checkpoint_format` gptq (v1) stores zero - 1, gptq_v2 and gptq_p the zero itself.
Source: Frantar et al. 2022, *GPTQ*; the files of AutoGPTQ, GPTQModel and AutoRound.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.bits import unpack_bits, unpack_planes
from jackfield_compact.layout import bits_of
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import groups_of_inputs
from jackfield_compact.tables import integers
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_V1 = "gptq"
_PLANES = "gptq_p"


def read_gptq(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError for shapes that fit no number of bits."""
    settings = part.settings
    form = settings.get("checkpoint_format") or settings.get("format") or _V1
    unpack = unpack_planes if form == _PLANES else unpack_bits
    qweight = shard.read_stored(part, "qweight")
    claimed = settings.get("bits", 4)
    bits = bits_of(f"qweight of {part.name}", part.in_size, qweight.shape[0], claimed)
    codes_OI = unpack(qweight, bits, 0, part.in_size).T.contiguous()
    scale_OG = shard.read_stored(part, "scales").T.contiguous()
    num_outputs, num_groups = scale_OG.shape
    group_I = _groups(part, shard, num_groups)
    half = 2 ** (bits - 1)
    offset_OG = None
    if shard.has(part, "qzeros"):
        stored_GO = unpack(shard.read_stored(part, "qzeros"), bits, 1, num_outputs)
        zero_OG = _zeros(stored_GO, bits, is_v1=form == _V1).T
        if bool((zero_OG != half).any()):
            offset_OG = scale_OG.float() * (zero_OG.float() - half)
    return CompactMatrix(
        codes_OI=codes_OI,
        bits=bits,
        table=integers(bits, half),
        scale_OG=scale_OG,
        offset_OG=offset_OG,
        group_I=group_I,
    )


def _zeros(stored_GO: Tensor, bits: int, *, is_v1: bool) -> Tensor:
    """The zero points as numbers. If all are the middle, in either convention, the weights are symmetric.

    Some releases of GPTQModel stored those of v2 under the name of v1, so the values decide.
    """
    half = 2 ** (bits - 1)
    first = int(stored_GO.flatten()[0])
    if first in (half - 1, half) and bool((stored_GO == first).all()):
        return stored_GO.new_full(stored_GO.shape, half).int()
    if not is_v1:
        return stored_GO.int()
    # Writers subtract one modulo 2**bits.
    return torch.remainder(stored_GO.int() + 1, 2**bits)


def _groups(part: LinearPart, shard: LinearShard, num_groups: int) -> Tensor:
    if not shard.has(part, "g_idx"):
        return groups_of_inputs(
            part.in_size, num_groups, part.settings.get("group_size"), part.name
        )
    group_I = shard.read_stored(part, "g_idx").long()
    if (
        len(group_I) != part.in_size
        or not 0 <= int(group_I.min()) <= int(group_I.max()) < num_groups
    ):
        raise CheckpointError(
            f"g_idx of {part.name} must give one of {num_groups} groups to each of {part.in_size} inputs; it has "
            f"{len(group_I)} entries up to {int(group_I.max())}. Fetch the file again"
        )
    return group_I
