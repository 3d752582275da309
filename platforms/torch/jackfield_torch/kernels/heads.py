"""The operations between the q, k, v projection and attention: norms of heads, rotation, and writing of the cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import HeadFacts
from jackfield_torch.kernels.launch import (
    begin,
    in_cache,
    launch_options,
    next_power_of_two,
    wait_for_inputs,
)

_FEW_TOKENS = 256  # up to this number, programs of few heads fill the chip


@triton.jit
def _rotate_and_write(
    qkv_ptr, norm_ptr, cos_ptr, sin_ptr, slots_ptr, q_ptr, key_ptr, value_ptr,
    qkv_stride, q_stride, cos_stride, sin_stride, block_stride, slot_stride, head_stride,
    value_block_stride, value_slot_stride, value_head_stride, epsilon,
    NUM_HEADS: tl.constexpr, NUM_KV_HEADS: tl.constexpr, HEAD: tl.constexpr, ROTARY: tl.constexpr,
    INTERLEAVED: tl.constexpr, NORM: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    HEADS: tl.constexpr, PAIRS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """HEADS heads of one token. A head is held as pairs of elements that turn together.

    Elements behind ROTARY are paired too, (ROTARY + i, ROTARY + i + half of the rest), and turn by no angle.
    """
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    pair = tl.arange(0, PAIRS)
    turns = pair < ROTARY // 2
    if INTERLEAVED:
        first, second = 2 * pair, 2 * pair + 1
    else:
        first, second = pair, pair + ROTARY // 2
    if ROTARY < HEAD:
        rest = pair - ROTARY // 2
        first = tl.where(turns, first, ROTARY + rest)
        second = tl.where(turns, second, ROTARY + rest + (HEAD - ROTARY) // 2)
    is_head = head < NUM_HEADS + 2 * NUM_KV_HEADS
    is_rotated = head < NUM_HEADS + NUM_KV_HEADS
    inside = is_head[:, None] & (pair < HEAD // 2)[None, :]
    if NORM:
        normed = is_rotated[:, None] & (pair < HEAD // 2)[None, :]
        weights = norm_ptr + head[:, None] * HEAD
        first_weight = tl.load(weights + first[None, :], mask=normed, other=1.0)
        second_weight = tl.load(weights + second[None, :], mask=normed, other=1.0)
    wait_for_inputs(DEPENDENT)
    row = qkv_ptr + token * qkv_stride + head[:, None] * HEAD
    raw_a = tl.load(row + first[None, :], mask=inside, other=0.0)
    raw_b = tl.load(row + second[None, :], mask=inside, other=0.0)
    a, b = raw_a.to(tl.float32), raw_b.to(tl.float32)
    if NORM:
        squares = tl.sum(a * a + b * b, 1)
        scale = tl.where(is_rotated, tl.rsqrt(squares / HEAD + epsilon), 1.0)[:, None]
        a, b = a * scale * first_weight, b * scale * second_weight
        a, b = a.to(raw_a.dtype).to(tl.float32), b.to(raw_a.dtype).to(tl.float32)
    if ROTARY > 0:
        cos = tl.load(cos_ptr + token * cos_stride + first, mask=turns, other=1.0)
        sin = tl.load(sin_ptr + token * sin_stride + second, mask=turns, other=0.0)
        cos, sin = cos.to(tl.float32)[None, :], sin.to(tl.float32)[None, :]
        turned_a, turned_b = a * cos - b * sin, b * cos + a * sin
        a = tl.where(is_rotated[:, None], turned_a, a)
        b = tl.where(is_rotated[:, None], turned_b, b)
    a, b = a.to(raw_a.dtype), b.to(raw_a.dtype)
    is_query = inside & (head < NUM_HEADS)[:, None]
    q_row = q_ptr + token * q_stride + head[:, None] * HEAD
    tl.store(q_row + first[None, :], a, mask=is_query)
    tl.store(q_row + second[None, :], b, mask=is_query)
    slot = tl.load(slots_ptr + token).to(tl.int64)
    block, offset = slot // BLOCK_SIZE, slot % BLOCK_SIZE
    key_head = (head - NUM_HEADS).to(tl.int64)
    key_row = (
        key_ptr + block * block_stride + offset * slot_stride + key_head[:, None] * head_stride
    )
    is_key = inside & ((head >= NUM_HEADS) & is_rotated)[:, None]
    tl.store(key_row + first[None, :], in_cache(a, key_ptr.dtype.element_ty), mask=is_key)
    tl.store(key_row + second[None, :], in_cache(b, key_ptr.dtype.element_ty), mask=is_key)
    value_head = (head - NUM_HEADS - NUM_KV_HEADS).to(tl.int64)
    value_row = value_ptr + block * value_block_stride + offset * value_slot_stride
    value_row = value_row + value_head[:, None] * value_head_stride
    is_value = inside & (head >= NUM_HEADS + NUM_KV_HEADS)[:, None]
    tl.store(value_row + first[None, :], in_cache(a, value_ptr.dtype.element_ty), mask=is_value)
    tl.store(value_row + second[None, :], in_cache(b, value_ptr.dtype.element_ty), mask=is_value)


def rotate_and_write(
    facts: HeadFacts,
    qkv_TMH: Tensor,
    cos_T1P: Tensor,
    sin_T1P: Tensor,
    cache: LayerCache,
    slots_T: Tensor,
) -> Tensor:
    """Norm and rotate q and k, write k and v into the cache; returns q_TNH.

    The cosines and signed sines are those of `jackfield_torch.rope.Rotation`. Source: Su et al. 2021. Rounds to the
    dtype of `qkv_TMH` after the norm and after the rotation.
    """
    num_tokens, num_heads, device = qkv_TMH.shape[0], facts.num_heads, qkv_TMH.device
    q_TNH = torch.empty(
        (num_tokens, num_heads, facts.head_size), dtype=qkv_TMH.dtype, device=device
    )
    if not num_tokens:
        return q_TNH
    heads, norm = num_heads + 2 * facts.num_kv_heads, facts.norm_weight_MH
    key, value = cache.key_BSHD, cache.value_BSHD
    heads_of_program, warps = (4, 2) if num_tokens <= _FEW_TOKENS else (16, 4)
    _rotate_and_write[(num_tokens, triton.cdiv(heads, heads_of_program))](
        qkv_TMH, qkv_TMH if norm is None else norm, cos_T1P, sin_T1P, slots_T, q_TNH, key, value,
        qkv_TMH.stride(0), q_TNH.stride(0), cos_T1P.stride(0), sin_T1P.stride(0),
        *key.stride()[:3], *value.stride()[:3], facts.norm_epsilon,
        NUM_HEADS=num_heads, NUM_KV_HEADS=facts.num_kv_heads, HEAD=facts.head_size,
        ROTARY=facts.rotary_size, INTERLEAVED=facts.interleaved, NORM=norm is not None,
        BLOCK_SIZE=key.shape[1], HEADS=heads_of_program, PAIRS=next_power_of_two(facts.head_size // 2),
        num_warps=warps, **launch_options(device),
    )  # fmt: skip
    return q_TNH
