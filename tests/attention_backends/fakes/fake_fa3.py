"""Stands in for flash_attn_interface of FlashAttention 3: the signature of the folder `hopper` in flash-attn 2.8.3."""

from paged_math import attend_pages, check_paged
from paged_math import causal as masks_of


def flash_attn_with_kvcache(
    q,
    k_cache,
    v_cache,
    k=None,
    v=None,
    qv=None,
    rotary_cos=None,
    rotary_sin=None,
    cache_seqlens=None,
    cache_batch_idx=None,
    cache_leftpad=None,
    page_table=None,
    cu_seqlens_q=None,
    cu_seqlens_k_new=None,
    max_seqlen_q=None,
    rotary_seqlens=None,
    q_descale=None,
    k_descale=None,
    v_descale=None,
    softmax_scale=None,
    causal=False,
    window_size=(-1, -1),
    attention_chunk=0,
    softcap=0.0,
    rotary_interleaved=True,
    scheduler_metadata=None,
    num_splits=0,
    pack_gqa=None,
    sm_margin=0,
    return_softmax_lse=False,
):
    """Pages of any size."""
    check_paged(q, k_cache, v_cache, cu_seqlens_q, cache_seqlens, page_table, max_seqlen_q)
    assert q.shape[-1] % 8 == 0
    assert q.shape[-1] <= 256
    masks = masks_of(causal, window_size)
    masks.soft_cap = softcap
    return attend_pages(
        q, k_cache, v_cache, cu_seqlens_q, cache_seqlens, page_table, softmax_scale, masks
    )
