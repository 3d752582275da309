"""The FlashAttention kernels in torch: `torch.nn.attention.varlen` reads blocks from torch 2.13 on."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from jackfield_flash_attn.variant import Call, Variant

if TYPE_CHECKING:
    from torch import Tensor


def attend(library: ModuleType, call: Call) -> Tensor:
    """`varlen_attn`, in which causality is a window that ends at the query."""
    layer = call.layer
    window = call.window()
    if layer.causal and layer.window is None:
        window = -1, 0
    output: Tensor = library.varlen_attn(
        call.q_TNH,
        call.key_BSHD,
        call.value_BSHD,
        call.query_starts_R1,
        None,
        call.most_queries,
        call.most_length,
        scale=layer.scale,
        window_size=window,
        enable_gqa=True,
        seqused_k=call.lengths_R,
        block_table=call.block_ids_RB,
    )
    return output


VARIANT = Variant(
    name="torch_varlen",
    label="torch's own FlashAttention",
    distributions=(),
    modules=("torch.nn.attention.varlen",),
    function="varlen_attn",
    parameter="block_table",
    remedy="install torch 2.13 or newer",
    chips=(8, 9, 10, 12),
    features=frozenset({"window", "non_causal"}),
    block_multiple=256,
    attend=attend,
)
