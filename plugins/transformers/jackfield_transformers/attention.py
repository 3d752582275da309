"""The attention function that Transformers' code calls. It is ours, over the paged cache of the running step."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

NAME = "jackfield"  # name of the attention implementation in configs


class Pass(Protocol):
    """The attention of one forward pass. Calls come in the order of the spec's layers."""

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, more: dict[str, Any]) -> Tensor:
        """o_TNH. Its head size is that of keys or values, whichever is larger."""


CURRENT: ContextVar[Pass] = ContextVar("pass")
"""Set while a model of Transformers computes."""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """From [1, heads, tokens, size] to [1, tokens, heads, size]. `more` was checked when the spec was made."""
    q_TNH, k_TKH, v_TKH = (x[0].transpose(0, 1) for x in (query, key, value))
    size, value_size = q_TNH.shape[-1], v_TKH.shape[-1]
    if value_size < size:  # a cache has one size for both; zeros change neither scores nor sums
        v_TKH = F.pad(v_TKH, (0, size - value_size))
    elif size < value_size:
        q_TNH, k_TKH = (F.pad(x, (0, value_size - size)) for x in (q_TNH, k_TKH))
    o_TNH = CURRENT.get().attend(q_TNH, k_TKH, v_TKH, more)
    return o_TNH[None, :, :, :value_size].contiguous(), None


# No mask is registered under this name, so Transformers makes no masks.
AttentionInterface.register(NAME, attend)
