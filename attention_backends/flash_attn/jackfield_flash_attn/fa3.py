"""FlashAttention 3: kernels for Hopper, built from the folder `hopper` of its repository."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from jackfield_flash_attn.variant import Call, Variant

if TYPE_CHECKING:
    from torch import Tensor


def attend(library: ModuleType, call: Call) -> Tensor:
    """`flash_attn_with_kvcache` without new keys; its own heuristic splits long contexts."""
    layer = call.layer
    output: Tensor = library.flash_attn_with_kvcache(
        call.q_TNH,
        call.key_BSHD,
        call.value_BSHD,
        cache_seqlens=call.lengths_R,
        page_table=call.block_ids_RB,
        cu_seqlens_q=call.query_starts_R1,
        max_seqlen_q=call.most_queries,
        softmax_scale=layer.scale,
        causal=layer.causal,
        window_size=call.window(),
        softcap=layer.soft_cap or 0.0,
    )
    return output


VARIANT = Variant(
    name="flash_attn_3",
    label="FlashAttention 3",
    distributions=("flash-attn-3", "flash_attn_3"),
    modules=("flash_attn_3.flash_attn_interface", "flash_attn_interface"),
    function="flash_attn_with_kvcache",
    parameter="page_table",
    remedy="build the folder `hopper` of github.com/Dao-AILab/flash-attention; no index has it",
    chips=(9,),
    features=frozenset({"window", "soft_cap", "non_causal"}),
    attend=attend,
)
