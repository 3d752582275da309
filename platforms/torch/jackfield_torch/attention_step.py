"""What the decoder sees of attention in one step: the border between the model side and the paged cache."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class AttentionStep(Protocol):
    """One step's access to the cache and the attention of every layer. Valid until the step ends."""

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """Write this step's keys and values into the cache of `layer`, then attend; returns o_TNH in q's dtype.

        T tokens of the step, N query heads and K kv heads of this rank, H head size. Rotated already. k and v are
        None where the layer reads the cache of an earlier one (`Layer.cache_of_layer`). The last axis must be
        contiguous; the others may be views into a fused projection.
        """
