"""Attention of long rows on Hopper: which caches and layers it serves, and its launch. See hopper_kernel.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jackfield_torch.chip import runs_hopper_kernels
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.kernels.launch import launch_options
from jackfield_triton_attn.tiles import HOPPER

_PART = 64  # elements of a head that are copied together


def fits_hopper(limits: AttentionLimits, cache: LayerCache, layer: LayerAttention) -> bool:
    """True if the kernel attends to this cache: a causal layer alone, heads of 64 or 128, numbers of 16 bits."""
    block_size = cache.key_BSHD.shape[1]
    return (
        runs_hopper_kernels(limits.device)
        and limits.dtype in (torch.bfloat16, torch.float16)
        and cache.key_BSHD.dtype == limits.dtype
        and limits.head_size in (64, 128)
        and limits.num_heads // limits.num_kv_heads <= HOPPER.lines
        and block_size % 8 == 0
        and (HOPPER.keys % block_size == 0 or block_size % HOPPER.keys == 0)
        and layer.causal
        and (layer.window, layer.chunk_size, layer.soft_cap, layer.sinks_N) == (None,) * 4
    )


def boxes_of(cache_BSHD: Tensor) -> Any:
    """The descriptor with which the copy engine reads the slots of a block that are in a tile, 64 elements of a head."""
    # Of Triton's parts that may change, only this kernel needs them.
    from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

    from jackfield_triton_attn.hopper_kernel import BOXES

    num_blocks, block_size, num_heads, head_size = cache_BSHD.shape
    shape = [num_blocks * block_size, num_heads * head_size]
    box = [min(block_size, HOPPER.keys), _PART]
    return TensorDescriptor(cache_BSHD, shape, [cache_BSHD.stride(1), 1], box, BOXES)


def attend_hopper(
    q_TNH: Tensor, boxes: tuple[Any, Any], layer: LayerAttention, batch: AttentionBatch, limits: AttentionLimits,
    block_size: int, o_TNH: Tensor, *, skip_single: bool,
) -> None:  # fmt: skip
    """Write the outputs of all rows. `boxes`: of keys and of values. `skip_single`: leave out rows with one query."""
    from jackfield_triton_attn.hopper_kernel import prefill_hopper

    group = limits.num_heads // limits.num_kv_heads
    num_rows = len(batch.lengths_R)
    num_tiles = len(q_TNH) // (2 * (HOPPER.lines // group)) + num_rows
    prefill_hopper[(limits.num_kv_heads, num_tiles)](
        q_TNH, *boxes, o_TNH, batch.query_starts_R1, batch.lengths_R, batch.block_ids_RB, layer.scale, num_rows,
        2 if skip_single else 1, q_TNH.stride(0), q_TNH.stride(1), o_TNH.stride(0), batch.block_ids_RB.stride(0),
        GROUP=group, HEAD=limits.head_size, LINES=HOPPER.lines, TILE=HOPPER.keys, BOX=min(block_size, HOPPER.keys),
        BLOCK_SIZE=block_size, STAGES=HOPPER.stages, num_warps=HOPPER.warps,
        **launch_options(limits.device),
    )  # fmt: skip
