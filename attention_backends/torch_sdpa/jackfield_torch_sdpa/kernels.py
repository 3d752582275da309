"""Attention over gathered keys and values: torch's fused operator, or plain arithmetic if scores are capped or have sinks.

B batch, H heads of the batch, Q queries, W keys, D head size. Masks are added to the scores: 0 or -inf.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_MAX_SCORES = 1 << 23  # elements that the plain path holds at once: 32 MiB in float32

# In a masked call, the memory-efficient kernel for CUDA (seen in torch 2.11, H100) computes a last query that is
# alone in its tile of 64 (32 for large heads) with the masks of others, or reads beyond the mask.
_MASKED_TILE = 32


def fused(
    q_BHQD: Tensor,
    k_BHWD: Tensor,
    v_BHWD: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float,
) -> Tensor:
    """softmax(scale q.k + mask) v, in one of torch's kernels."""
    num_queries = q_BHQD.shape[2]
    if mask is not None and num_queries > 1 and num_queries % _MASKED_TILE == 1:
        one_more = [torch.cat((x, x[:, :, -1:]), 2) for x in (q_BHQD, mask)]
        return fused(one_more[0], k_BHWD, v_BHWD, one_more[1], is_causal, scale)[:, :, :-1]
    return functional.scaled_dot_product_attention(
        q_BHQD, k_BHWD, v_BHWD, attn_mask=mask, is_causal=is_causal, scale=scale
    )


def batched(
    q_RKGH: Tensor, k_RKWH: Tensor, v_RKWH: Tensor, mask_R1W: Tensor | None, scale: float
) -> Tensor:
    """The same for rows with one query, as two batched matrix products over rows and kv heads.

    On the CPU, torch's fused kernel calls a small matrix product for every row and head, which takes four times as
    long (32 rows of 256 tokens). In half precision torch rounds the scores of a product, so it runs twice: the second
    product adds the negative peak of the first before it rounds, since the scores that matter are close to the peak.
    """
    group, head_size = q_RKGH.shape[2:]
    q = q_RKGH.reshape(-1, group, head_size)
    k_T = k_RKWH.flatten(0, 1).transpose(1, 2)
    start = q.new_zeros(()) if mask_R1W is None else _of_all_heads(mask_R1W, q_RKGH)
    # The product itself scales, because float16 cannot hold the unscaled products of large queries and keys.
    scores = torch.baddbmm(start, q, k_T, alpha=scale)
    if scores.dtype.itemsize < 4:
        start = (start - scores.amax(-1, keepdim=True)).expand_as(scores)
        scores = torch.baddbmm(start, q, k_T, alpha=scale)
    o = torch.bmm(scores.softmax(-1), v_RKWH.flatten(0, 1))
    return o.view(*q_RKGH.shape[:3], v_RKWH.shape[-1])


def _of_all_heads(mask_R1W: Tensor, q_RKGH: Tensor) -> Tensor:
    """The mask of each product, [R * K, G, W]."""
    num_rows, num_kv_heads, group, _ = q_RKGH.shape
    shape = num_rows, num_kv_heads, group, mask_R1W.shape[-1]
    return mask_R1W.unsqueeze(1).expand(shape).flatten(0, 1)


def written_out(
    q_BHQD: Tensor,
    k_BHWD: Tensor,
    v_BHWD: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float,
    *,
    soft_cap: float | None,
    sinks: Tensor | None,  # [1, H, Q, 1] or [B, H, 1, 1], float32
) -> Tensor:
    """softmax(cap tanh(scale q.k / cap) + mask) v, in float32 (float64 for float64), a slice of queries at a time.

    A sink is one more score, that of a key without a value.
    """
    dtype = torch.promote_types(q_BHQD.dtype, torch.float32)
    k_BHDW, v_BHWD = k_BHWD.to(dtype).transpose(-1, -2), v_BHWD.to(dtype)
    num_queries, width = q_BHQD.shape[2], k_BHWD.shape[2]
    if is_causal:
        hidden = torch.ones(num_queries, width, dtype=torch.bool, device=q_BHQD.device).triu(1)
        mask = torch.zeros(hidden.shape, dtype=dtype, device=q_BHQD.device)
        mask = mask.masked_fill_(hidden, float("-inf"))
    if sinks is not None:
        sinks = sinks.to(dtype).expand(*q_BHQD.shape[:-1], 1)
    step = max(1, _MAX_SCORES // (q_BHQD.shape[0] * q_BHQD.shape[1] * width))
    slices = []
    for start in range(0, num_queries, step):
        part = slice(start, start + step)
        scores = torch.matmul(q_BHQD[:, :, part].to(dtype), k_BHDW).mul_(scale)
        if soft_cap is not None:
            scores = scores.div_(soft_cap).tanh_().mul_(soft_cap)
        if mask is not None:
            scores += mask[..., part, :] if mask.shape[-2] > 1 else mask
        if sinks is None:
            weights = scores.softmax(-1)
        else:
            weights = torch.cat((scores, sinks[:, :, part]), -1).softmax(-1)[..., :-1]
        slices.append(torch.matmul(weights, v_BHWD))
    return torch.cat(slices, dim=2).to(q_BHQD.dtype)
