"""Attention over the paged cache of one group: planned once a step for each kind of layer, outside of graphs."""

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
    """Which kinds of layers there are is seen in the first step; from the second on all plans are made by `prepare`."""

    def __init__(self, layout: CacheLayout, limits: AttentionLimits, library: ModuleType) -> None:
        self._lists = PageLists(limits, layout.block_size)
        self._plans = Plans(layout, limits, library, self._lists)
        self._pages: Pages | None = None
        self._kinds: set[KindOfLayer] = set()
        self._planned: dict[KindOfLayer, Plan] = {}

    def prepare(self, batch: AttentionBatch) -> None:
        """Lay the blocks out and plan for the kinds of layers that are known."""
        self._pages = self._lists.fill(batch)
        self._planned = {kind: self._plans.make(kind, self._pages) for kind in self._kinds}

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """As the interface says."""
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
