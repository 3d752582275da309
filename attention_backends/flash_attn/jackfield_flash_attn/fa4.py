"""FlashAttention 4: kernels in CuTe's Python dialect, compiled at the first use of a shape (flash-attn-4)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from jackfield_flash_attn.variant import Call, Variant

if TYPE_CHECKING:
    from torch import Tensor


def attend(library: ModuleType, call: Call) -> Tensor:
    """`flash_attn_varlen_func` with a page table. It returns the outputs and their log-sum-exp."""
    layer = call.layer
    found = library.flash_attn_varlen_func(
        call.q_TNH,
        call.key_BSHD,
        call.value_BSHD,
        cu_seqlens_q=call.query_starts_R1,
        max_seqlen_q=call.most_queries,
        max_seqlen_k=call.most_length,
        seqused_k=call.lengths_R,
        page_table=call.block_ids_RB,
        softmax_scale=layer.scale,
        causal=layer.causal,
        window_size=call.window(None),
        learnable_sink=layer.sinks_N,
        softcap=layer.soft_cap or 0.0,
    )
    output: Tensor = found[0] if isinstance(found, tuple) else found
    return output


VARIANT = Variant(
    name="flash_attn_4",
    label="FlashAttention 4",
    distributions=("flash-attn-4",),
    modules=("flash_attn.cute.interface",),
    function="flash_attn_varlen_func",
    parameter="page_table",
    remedy="pip install 'flash-attn-4[cu13]'",
    chips=(9, 10, 11),
    features=frozenset({"window", "soft_cap", "sinks", "non_causal"}),
    head_multiple=16,  # if blocks are no tile of keys, elements are read without a bounds check
    attend=attend,
)
