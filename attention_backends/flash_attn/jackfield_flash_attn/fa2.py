"""FlashAttention 2.x: `flash_attn_varlen_func` with block tables (flash-attn)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from jackfield_flash_attn.variant import Call, Variant

if TYPE_CHECKING:
    from torch import Tensor


def attend(library: ModuleType, call: Call) -> Tensor:
    """This release reads lengths as differences of sums, even if keys are given by a block table."""
    layer = call.layer
    output: Tensor = library.flash_attn_varlen_func(
        call.q_TNH,
        call.key_BSHD,
        call.value_BSHD,
        cu_seqlens_q=call.query_starts_R1,
        cu_seqlens_k=call.length_sums_R1,
        max_seqlen_q=call.most_queries,
        max_seqlen_k=call.most_length,
        softmax_scale=layer.scale,
        causal=layer.causal,
        window_size=call.window(),
        softcap=layer.soft_cap or 0.0,
        block_table=call.block_ids_RB,
    )
    return output


VARIANT = Variant(
    name="flash_attn_2",
    label="FlashAttention 2",
    distributions=("flash-attn",),
    modules=("flash_attn.flash_attn_interface",),
    function="flash_attn_varlen_func",
    parameter="block_table",
    remedy="pip install --no-build-isolation flash-attn (compiles for an hour where no wheel fits)",
    chips=(8, 9, 10, 12),
    features=frozenset({"window", "soft_cap", "non_causal"}),
    block_multiple=256,
    attend=attend,
)
