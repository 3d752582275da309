"""Cache groups of one rank: their backends, layouts, sizes, and the cache itself once its size is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jackfield.cache import CacheGroup
from jackfield.discovery.selected import load_selected
from jackfield.interfaces.worker import WorkerContext
from jackfield_torch import settings
from jackfield_torch.attention_step import PagedAttention
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import Attention, AttentionLimits
from jackfield_torch.interfaces.attention_backend import KIND, AttentionBackend
from jackfield_torch.paged_cache import GroupCache, choose_layout


class CacheBuilder:
    """Knows the groups from the start; makes caches and backends when the engine has said how many blocks."""

    def __init__(self, context: WorkerContext, device: torch.device) -> None:
        config, spec = context.config, context.spec
        self._context = context
        self._device = device
        self.groups = spec.cache_groups(settings.cache_dtype(config, spec))
        plan, subjects = context.activation, [settings.subject_of(group) for group in self.groups]
        self._backends: list[AttentionBackend] = [load_selected(plan, KIND, s) for s in subjects]
        self._layouts = [
            choose_layout(
                backend.layouts,
                config.cache.block_size,
                group.dtype,
                subject,
                plan.selected(KIND, subject).name,
            )
            for group, backend, subject in zip(self.groups, self._backends, subjects, strict=True)
        ]

    @property
    def block_bytes(self) -> tuple[int, ...]:
        """Bytes of one block of each group on this rank."""
        size, num_ranks = self._context.config.cache.block_size, self._context.num_ranks
        return tuple(group.block_bytes(size, num_ranks) for group in self.groups)

    @property
    def useful_bytes(self) -> int:
        """What all rows take at their full length."""
        config = self._context.config
        length = settings.max_length(config, self._context.spec)
        num_blocks = config.scheduler.max_rows * -(-length // config.cache.block_size)
        return num_blocks * sum(self.block_bytes)

    def make_caches(self, num_blocks: Sequence[int]) -> tuple[GroupCache, ...]:
        """The memory of each group."""
        return tuple(
            GroupCache(group, layout, count, self._num_kv_heads(group), self._device)
            for group, layout, count in zip(self.groups, self._layouts, num_blocks, strict=True)
        )

    def make_attention(
        self,
        caches: Sequence[GroupCache],
        num_blocks: Sequence[int],
        sinks: Mapping[int, Tensor],
    ) -> PagedAttention:
        """The backends of all groups behind one face."""
        attentions = [self._make_backend(index, count) for index, count in enumerate(num_blocks)]
        return PagedAttention(self._context.spec, self.groups, caches, attentions, sinks)

    def _make_backend(self, index: int, num_blocks: int) -> Attention:
        config, spec = self._context.config, self._context.spec
        group = self.groups[index]
        limits = AttentionLimits(
            device=self._device,
            dtype=torch_dtype(settings.model_dtype(config, spec)),
            num_heads=settings.heads_of_rank(
                spec.layers[group.layers[0]].mixer.num_heads, self._context.num_ranks
            ),
            num_kv_heads=self._num_kv_heads(group),
            head_size=group.head_size,
            max_rows=config.scheduler.max_rows,
            max_step_tokens=config.scheduler.max_step_tokens,
            max_length=settings.max_length(config, spec),
            num_blocks=num_blocks,
        )
        return self._backends[index].create(group, self._layouts[index], limits)

    def _num_kv_heads(self, group: CacheGroup) -> int:
        return settings.heads_of_rank(group.num_kv_heads, self._context.num_ranks)
