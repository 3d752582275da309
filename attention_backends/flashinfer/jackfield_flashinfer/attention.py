"""Attention over the paged cache of one group. Each kind of layer is planned once a step, outside of graphs."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from jackfield.cache import CacheLayout
from jackfield_flashinfer.pages import PageLists, Pages
from jackfield_flashinfer.plans import KindOfLayer, Plan, Plans
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)


class FlashInferAttention(GroupAttention):
    """The kinds of layers are found in the first step. From the second step on `prepare` makes all plans."""

    def __init__(self, layout: CacheLayout, limits: AttentionLimits, library: ModuleType) -> None:
        self._lists = PageLists(limits, layout.block_size)
        self._plans = Plans(layout, limits, library, self._lists)
        self._pages: Pages | None = None
        self._kinds: set[KindOfLayer] = set()
        self._planned: dict[KindOfLayer, Plan] = {}

    def prepare(self, batch: AttentionBatch) -> None:
        """Lay out the blocks, and plan for the known kinds of layers."""
        self._pages = self._lists.fill(batch)
        self._planned = {kind: self._plans.make(kind, self._pages) for kind in self._kinds}

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        kind = KindOfLayer.of(layer)
        plan = self._planned.get(kind)
        if plan is None:
            assert self._pages is not None, "prepare() comes first"
            self._kinds.add(kind)
            plan = self._planned[kind] = self._plans.make(kind, self._pages)
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device)
        return plan.run(q_TNH, cache.key_BSHD, cache.value_BSHD, o_TNH)

    def close(self) -> None:
        """Drop plans and buffers."""
        self._pages = None
        self._planned.clear()
        self._plans.close()
