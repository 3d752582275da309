"""MXFP4 tensors. O outputs, I inputs.

blocks uint8 [O, I/32, 16], the lower nibble first; scales uint8 [O, I/32]. weight = e2m1(code) * 2 ** (scale - 127).
Source: OpenAI's gpt-oss checkpoints, where `gate_up_proj_blocks` holds all experts.
"""

from __future__ import annotations

from jackfield.errors import CheckpointError
from jackfield_compact.bits import unpack_nibbles
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import float4, power_of_two
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_BYTES = 16  # bytes of a block


def read_mxfp4(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    blocks = shard.read_stored(part, "blocks")
    scale_OG = shard.read_stored(part, "scales")
    if blocks.ndim != 3 or blocks.shape[:2] != scale_OG.shape or blocks.shape[2] != _BYTES:
        raise CheckpointError(
            f"blocks of {part.name} have shape {tuple(blocks.shape)} and scales {tuple(scale_OG.shape)}; MXFP4 stores "
            f"{_BYTES} bytes and a scale for each 32 inputs. Fetch the file again"
        )
    return float4(unpack_nibbles(blocks.flatten(1)), power_of_two(scale_OG))
