"""Stands in for flash_attn.cute.interface of flash-attn-4 4.0.0b36: its signature, and what it asserts on Hopper."""

import torch
from paged_math import attend_pages, check_paged
from paged_math import causal as masks_of


def flash_attn_varlen_func(
    q,
    k,
    v,
    qv=None,
    cu_seqlens_q=None,
    cu_seqlens_k=None,
    max_seqlen_q=None,
    max_seqlen_k=None,
    min_seqlen_k=None,
    seqused_q=None,
    seqused_k=None,
    gather_kv_indices=None,
    page_table=None,
    softmax_scale=None,
    causal=False,
    window_size=(None, None),
    learnable_sink=None,
    softcap=0.0,
    num_splits=1,
    pack_gqa=None,
    deterministic=False,
    score_mod=None,
    score_mod_bwd=None,
    mask_mod=None,
    block_sparse_tensors=None,
    aux_tensors=None,
    aux_scalars=None,
    return_lse=False,
    scheduler_metadata=None,
    seqlen_k_per_split=None,
    disable_scheduler_metadata=False,
    gather_bwd_recompute_p=False,
    gather_bwd_token_chunk=None,
):
    """Outputs and their log-sum-exp, which is None unless asked for."""
    check_paged(q, k, v, cu_seqlens_q, seqused_k, page_table, max_seqlen_q)
    assert cu_seqlens_k is None, "page_table is not supported with cu_seqlens_k"
    assert int(seqused_k.max()) <= max_seqlen_k
    assert num_splits <= 1, "SplitKV not supported on SM 9.0"
    assert q.shape[-1] % 16 == 0, "heads are read without bounds where pages are no tiles"
    assert q.shape[-1] <= 256
    assert None in window_size or min(window_size) >= 0
    if learnable_sink is not None:
        assert learnable_sink.shape == (q.shape[1],)
        assert learnable_sink.dtype in (torch.float16, torch.bfloat16, torch.float32)
    masks = masks_of(causal, window_size)
    masks.soft_cap, masks.sinks = softcap, learnable_sink
    return attend_pages(q, k, v, cu_seqlens_q, seqused_k, page_table, softmax_scale, masks), None
