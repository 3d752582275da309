"""The operations between the projections of latent attention and its products: norm, rotation, and writing of the cache."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import LatentFacts
from jackfield_torch.kernels.launch import (
    begin,
    in_cache,
    launch_options,
    next_power_of_two,
    wait_for_inputs,
)

_HEADS = 8  # of queries, in one program


@triton.jit
def _rotate_and_keep(
    q_ptr, kept_ptr, norm_ptr, cos_ptr, sin_ptr, slots_ptr, absorbed_ptr, cache_ptr,
    q_stride, q_head_stride, kept_stride, cos_stride, sin_stride, absorbed_stride, absorbed_head_stride,
    block_stride, slot_stride, epsilon,
    NUM_HEADS: tl.constexpr, HEAD: tl.constexpr, LATENT: tl.constexpr, LATENT_PADDED: tl.constexpr,
    PAIRS: tl.constexpr, PAIRS_PADDED: tl.constexpr, INTERLEAVED: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    HEADS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """Program 0 of a token keeps its latent vector and rotated key; the others rotate HEADS heads of its query."""
    begin(DEPENDENT)
    token, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    pair = tl.arange(0, PAIRS_PADDED)
    turns = pair < PAIRS
    if INTERLEAVED:
        first, second = 2 * pair, 2 * pair + 1
    else:
        first, second = pair, pair + PAIRS
    wait_for_inputs(DEPENDENT)
    cos = tl.load(cos_ptr + token * cos_stride + first, mask=turns, other=1.0).to(tl.float32)
    sin = tl.load(sin_ptr + token * sin_stride + second, mask=turns, other=0.0).to(tl.float32)
    if group == 0:
        element = tl.arange(0, LATENT_PADDED)
        inside = element < LATENT
        row = kept_ptr + token * kept_stride
        latent = tl.load(row + element, mask=inside, other=0.0)
        wide = latent.to(tl.float32)
        scale = tl.rsqrt(tl.sum(wide * wide, 0) / LATENT + epsilon)
        wide = wide * scale * tl.load(norm_ptr + element, mask=inside, other=0.0)
        a = tl.load(row + LATENT + first, mask=turns, other=0.0).to(tl.float32)
        b = tl.load(row + LATENT + second, mask=turns, other=0.0).to(tl.float32)
        slot = tl.load(slots_ptr + token)
        target = cache_ptr + slot // BLOCK_SIZE * block_stride + slot % BLOCK_SIZE * slot_stride
        # rounded to the dtype of activations first, as without this kernel
        wide = in_cache(wide.to(latent.dtype), cache_ptr.dtype.element_ty)
        tl.store(target + element, wide, mask=inside)
        turned_a = in_cache((a * cos - b * sin).to(latent.dtype), cache_ptr.dtype.element_ty)
        turned_b = in_cache((b * cos + a * sin).to(latent.dtype), cache_ptr.dtype.element_ty)
        tl.store(target + LATENT + first, turned_a, mask=turns)
        tl.store(target + LATENT + second, turned_b, mask=turns)
    else:
        head = (group - 1) * HEADS + tl.arange(0, HEADS)
        is_head = (head < NUM_HEADS)[:, None] & turns[None, :]
        source = q_ptr + token * q_stride + head[:, None] * q_head_stride + HEAD
        q_a = tl.load(source + first[None, :], mask=is_head, other=0.0).to(tl.float32)
        q_b = tl.load(source + second[None, :], mask=is_head, other=0.0).to(tl.float32)
        new_a = (q_a * cos[None, :] - q_b * sin[None, :]).to(absorbed_ptr.dtype.element_ty)
        new_b = (q_b * cos[None, :] + q_a * sin[None, :]).to(absorbed_ptr.dtype.element_ty)
        absorbed = absorbed_ptr + token * absorbed_stride + head[:, None] * absorbed_head_stride
        tl.store(absorbed + LATENT + first[None, :], new_a, mask=is_head)
        tl.store(absorbed + LATENT + second[None, :], new_b, mask=is_head)


def rotate_and_keep(
    facts: LatentFacts,
    q_TNX: Tensor,
    kept_TD: Tensor,
    cos_T1P: Tensor,
    sin_T1P: Tensor,
    cache: LayerCache,
    slots_T: Tensor,
) -> Tensor:
    """See LatentKernel. The cosines and signed sines are those of `jackfield_torch.rope.Rotation`."""
    num_tokens, num_heads, _ = q_TNX.shape
    latent, pairs = facts.latent_size, facts.rotary_size // 2
    absorbed_TND = q_TNX.new_empty((num_tokens, num_heads, latent + facts.rotary_size))
    if not num_tokens:
        return absorbed_TND
    key = cache.key_BSHD
    _rotate_and_keep[(num_tokens, 1 + triton.cdiv(num_heads, _HEADS))](
        q_TNX, kept_TD, facts.norm_weight_C, cos_T1P, sin_T1P, slots_T, absorbed_TND, key,
        q_TNX.stride(0), q_TNX.stride(1), kept_TD.stride(0), cos_T1P.stride(0), sin_T1P.stride(0),
        absorbed_TND.stride(0), absorbed_TND.stride(1), key.stride(0), key.stride(1), facts.norm_epsilon,
        NUM_HEADS=num_heads, HEAD=facts.head_size, LATENT=latent, LATENT_PADDED=next_power_of_two(latent),
        PAIRS=pairs, PAIRS_PADDED=next_power_of_two(pairs), INTERLEAVED=facts.interleaved, BLOCK_SIZE=key.shape[1],
        HEADS=_HEADS, num_warps=2, **launch_options(q_TNX.device),
    )  # fmt: skip
    return absorbed_TND
