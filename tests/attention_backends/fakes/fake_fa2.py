"""Stands in for flash_attn.flash_attn_interface of flash-attn 2.8.3: its signature, and the checks of flash_api.cpp."""

import torch
from paged_math import attend_pages, causal, check_paged


def flash_attn_varlen_func(
    q,
    k,
    v,
    cu_seqlens_q,
    cu_seqlens_k,
    max_seqlen_q,
    max_seqlen_k,
    dropout_p=0.0,
    softmax_scale=None,
    causal=False,
    window_size=(-1, -1),
    softcap=0.0,
    alibi_slopes=None,
    deterministic=False,
    return_attn_probs=False,
    block_table=None,
):
    """Lengths are differences of cu_seqlens_k, also where a block table is given."""
    assert cu_seqlens_k.dtype == torch.int32
    assert cu_seqlens_k.shape == cu_seqlens_q.shape
    lengths = cu_seqlens_k[1:] - cu_seqlens_k[:-1]
    check_paged(q, k, v, cu_seqlens_q, lengths, block_table, max_seqlen_q)
    assert int(lengths.max()) <= max_seqlen_k
    assert k.shape[1] % 256 == 0, "Paged KV cache block size must be divisible by 256"
    assert q.shape[-1] % 8 == 0
    assert q.shape[-1] <= 256
    masks = _masks(causal, window_size)
    masks.soft_cap = softcap
    return attend_pages(q, k, v, cu_seqlens_q, lengths, block_table, softmax_scale, masks)


_masks = causal
