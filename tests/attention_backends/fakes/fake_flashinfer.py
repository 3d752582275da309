"""Stands in for flashinfer 0.6.12: its two wrappers of a paged cache, with their signatures and what they demand."""

import torch
from paged_math import Masks, attend_pages

compiled = []  # arguments of `plan`, for which the real library would compile kernels


class _Wrapper:
    def __init__(self, workspace, kv_layout):
        assert workspace.dtype == torch.uint8
        assert kv_layout == "NHD"
        self._resets = 0
        self._planned = None

    def reset_workspace_buffer(self, float_workspace_buffer, int_workspace_buffer):
        assert int_workspace_buffer.dtype == torch.uint8
        self._resets += 1

    def _plan(self, q_starts, indptr, indices, last, page_size, scale, masks, dtypes, heads):
        for tensor in (q_starts, indptr, last):
            assert tensor.dtype == torch.int32
            assert tensor.device.type == "cpu", "a plan reads them on the host"
        assert indices.dtype == torch.int32
        assert len(q_starts) == len(indptr) == len(last) + 1
        assert int(indptr[-1]) == len(indices)
        assert bool((last >= 1).all())
        assert bool((last <= page_size).all())
        pages = indptr[1:] - indptr[:-1]
        assert bool((pages >= 1).all())
        compiled.append((masks.left >= 0, bool(masks.soft_cap), dtypes))
        lengths = (pages - 1) * page_size + last
        table = torch.zeros(len(pages), int(pages.max()), dtype=torch.int32)
        # Blocks are read when a layer runs, because they may be written between plan and run.
        self._planned = q_starts, indptr, indices, lengths, table, scale, masks, dtypes, heads

    def _run(self, q, paged_kv_cache, out):
        q_starts, indptr, indices, lengths, table, scale, masks, dtypes, heads = self._planned
        k, v = paged_kv_cache
        assert (q.dtype, k.dtype) == dtypes
        assert k.stride() == v.stride()
        assert q.stride(-1) == k.stride(-1) == 1
        assert (q.shape[1], k.shape[2], q.shape[2]) == heads
        assert q.shape[0] == int(q_starts[-1])
        for row in range(len(table)):
            ids = indices[int(indptr[row]) : int(indptr[row + 1])]
            table[row, : len(ids)] = ids
        found = attend_pages(
            q, k.to(q.dtype), v.to(q.dtype), q_starts, lengths, table, scale, masks
        )
        if out is None:
            return found
        assert out.dtype == q.dtype
        return out.copy_(found)


def _masks(causal, window_left, logits_soft_cap):
    return Masks(left=window_left, right=0 if causal else -1, soft_cap=logits_soft_cap or 0.0)


class BatchDecodeWithPagedKVCacheWrapper(_Wrapper):
    def __init__(
        self,
        float_workspace_buffer,
        kv_layout="NHD",
        use_cuda_graph=False,
        use_tensor_cores=False,
        paged_kv_indptr_buffer=None,
        paged_kv_indices_buffer=None,
        paged_kv_last_page_len_buffer=None,
        backend="auto",
        jit_args=None,
    ):
        super().__init__(float_workspace_buffer, kv_layout)
        assert use_cuda_graph
        self._num_rows = len(paged_kv_last_page_len_buffer)
        self._indices = paged_kv_indices_buffer
        assert len(paged_kv_indptr_buffer) == self._num_rows + 1

    def plan(
        self,
        indptr,
        indices,
        last_page_len,
        num_qo_heads,
        num_kv_heads,
        head_dim,
        page_size,
        pos_encoding_mode="NONE",
        window_left=-1,
        logits_soft_cap=None,
        q_data_type="float16",
        kv_data_type=None,
        o_data_type=None,
        data_type=None,
        sm_scale=None,
        rope_scale=None,
        rope_theta=None,
        non_blocking=True,
        block_tables=None,
        seq_lens=None,
        fixed_split_size=None,
        disable_split_kv=False,
    ):
        assert len(last_page_len) == self._num_rows, "fixed in cudagraph mode"
        assert len(indices) <= len(self._indices)
        self._indices[: len(indices)].copy_(indices)
        starts = torch.arange(self._num_rows + 1, dtype=torch.int32)
        self._plan(
            starts,
            indptr,
            self._indices[: len(indices)],
            last_page_len,
            page_size,
            sm_scale,
            _masks(True, window_left, logits_soft_cap),
            (q_data_type, kv_data_type or q_data_type),
            (num_qo_heads, num_kv_heads, head_dim),
        )

    def run(
        self,
        q,
        paged_kv_cache,
        *args,
        q_scale=None,
        k_scale=None,
        v_scale=None,
        out=None,
        lse=None,
        return_lse=False,
        enable_pdl=None,
        window_left=None,
        sinks=None,
        q_len_per_req=1,
        skip_softmax_threshold_scale_factor=None,
        kv_cache_sf=None,
    ):
        return self._run(q, paged_kv_cache, out)


class BatchPrefillWithPagedKVCacheWrapper(_Wrapper):
    def __init__(
        self,
        float_workspace_buffer,
        kv_layout="NHD",
        use_cuda_graph=False,
        qo_indptr_buf=None,
        paged_kv_indptr_buf=None,
        paged_kv_indices_buf=None,
        paged_kv_last_page_len_buf=None,
        custom_mask_buf=None,
        mask_indptr_buf=None,
        backend="auto",
        jit_args=None,
        jit_kwargs=None,
    ):
        super().__init__(float_workspace_buffer, kv_layout)

    def plan(
        self,
        qo_indptr,
        paged_kv_indptr,
        paged_kv_indices,
        paged_kv_last_page_len,
        num_qo_heads,
        num_kv_heads,
        head_dim_qk,
        page_size,
        head_dim_vo=None,
        custom_mask=None,
        packed_custom_mask=None,
        causal=False,
        pos_encoding_mode="NONE",
        use_fp16_qk_reduction=False,
        sm_scale=None,
        window_left=-1,
        logits_soft_cap=None,
        rope_scale=None,
        rope_theta=None,
        q_data_type="float16",
        kv_data_type=None,
        o_data_type=None,
        non_blocking=True,
        prefix_len_ptr=None,
        token_pos_in_items_ptr=None,
        token_pos_in_items_len=0,
        max_item_len_ptr=None,
        seq_lens=None,
        seq_lens_q=None,
        block_tables=None,
        max_token_per_sequence=None,
        max_sequence_kv=None,
        fixed_split_size=None,
        disable_split_kv=False,
    ):
        self._plan(
            qo_indptr,
            paged_kv_indptr,
            paged_kv_indices,
            paged_kv_last_page_len,
            page_size,
            sm_scale,
            _masks(causal, window_left, logits_soft_cap),
            (q_data_type, kv_data_type or q_data_type),
            (num_qo_heads, num_kv_heads, head_dim_qk),
        )

    def run(
        self,
        q,
        paged_kv_cache,
        *args,
        q_scale=None,
        k_scale=None,
        v_scale=None,
        out=None,
        lse=None,
        return_lse=False,
        enable_pdl=None,
        window_left=None,
        sinks=None,
        kv_cache_sf=None,
        skip_softmax_threshold_scale_factor=None,
    ):
        return self._run(q, paged_kv_cache, out)
