"""Cache groups of one rank: backends, layouts and sizes, and the cache itself once its size is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul

import torch
from torch import Tensor

from jackfield.activation import PluginRef
from jackfield.cache import NONE, RECURRENT, CacheGroup, CacheLayout
from jackfield.discovery.selected import load_plugin
from jackfield.interfaces.worker import WorkerContext
from jackfield.kv_cache import CacheBudget
from jackfield_torch import settings
from jackfield_torch.attention_groups import AttentionGroup, attention_groups
from jackfield_torch.attention_step import BoundAttention, PagedAttention
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import AttentionLimits
from jackfield_torch.interfaces.attention_backend import KIND, AttentionBackend, AttentionNeed
from jackfield_torch.paged_cache import CacheScales, GroupCache, choose_layout
from jackfield_torch.rule_facts import layers_in_words
from jackfield_torch.states import StateCache


class CacheBuilder:
    """Knows the groups from the start. Makes caches and backends when the engine has given the number of blocks."""

    def __init__(self, context: WorkerContext, device: torch.device) -> None:
        config, spec = context.config, context.spec
        self._context = context
        self._device = device
        self.groups = spec.cache_groups(settings.cache_dtype(config, spec))
        self._served = _served(context, device)
        self._layouts = {
            group.index: self._choose_layout(group)
            for group in self.groups
            if group.kind != RECURRENT
        }

    @property
    def block_bytes(self) -> tuple[int, ...]:
        """Bytes of one block of each group on this rank."""
        size, num_ranks = self._context.config.cache.block_size, self._context.num_ranks
        return tuple(group.block_bytes(size, num_ranks) for group in self.groups)

    @property
    def useful_bytes(self) -> int:
        """Bytes that all rows take at their full length."""
        config = self._context.config
        budget = CacheBudget(
            groups=self.groups,
            block_size=config.cache.block_size,
            max_length=settings.max_length(config, self._context.spec),
            max_rows=config.scheduler.max_rows,
            max_step_tokens=config.scheduler.max_step_tokens,
            depth=config.executor.depth,
        )
        return sum(map(mul, budget.useful, self.block_bytes))

    def make_caches(self, num_blocks: Sequence[int]) -> tuple[GroupCache | StateCache | None, ...]:
        """The memory of each group: `num_blocks`, and a spare block after them to which padding is written.

        It is None for a group that keeps nothing.
        """
        return tuple(
            self._make_cache(group, count + 1)
            for group, count in zip(self.groups, num_blocks, strict=True)
        )

    def _make_cache(self, group: CacheGroup, num_blocks: int) -> GroupCache | StateCache | None:
        if group.kind == NONE:
            return None
        if group.kind == RECURRENT:
            return StateCache(group, num_blocks, self._context.num_ranks, self._device)
        return GroupCache(
            group,
            self._layouts[group.index],
            num_blocks,
            self._num_kv_heads(group),
            self._device,
            is_filled=any(one.backend.needs_finite_slots for one in self._readers(group)),
        )

    def make_attention(
        self,
        caches: Sequence[GroupCache | StateCache | None],
        num_blocks: Sequence[int],
        sinks: Mapping[int, Tensor],
        scales: Mapping[int, CacheScales],
        biases: Mapping[int, Tensor],
    ) -> PagedAttention:
        """The backends of all layers as one object."""
        bound = [self._make_backend(served, num_blocks) for served in self._served]
        block_size = self._context.config.cache.block_size
        return PagedAttention(self._context.spec, caches, bound, sinks, block_size, scales, biases)

    def _choose_layout(self, group: CacheGroup) -> CacheLayout:
        """A layout that all backends of the group's cache read. Without a cache, any layout."""
        if group.kind == NONE:
            return CacheLayout(block_size=self._context.config.cache.block_size, dtype=group.dtype)
        served = self._readers(group)
        readers = {one.plugin.name: one.backend.layouts for one in served}
        subject = layers_in_words(sorted(layer for one in served for layer in one.layers))
        return choose_layout(readers, self._context.config.cache.block_size, group.dtype, subject)

    def _readers(self, group: CacheGroup) -> list[_Served]:
        return [served for served in self._served if served.group.cache_group == group]

    def _make_backend(self, served: _Served, num_blocks: Sequence[int]) -> BoundAttention:
        config, spec = self._context.config, self._context.spec
        cache_group, need = served.group.cache_group, served.group.need
        limits = AttentionLimits(
            device=self._device,
            dtype=torch_dtype(settings.model_dtype(config, spec)),
            num_heads=need.num_heads,
            num_kv_heads=need.num_kv_heads,
            head_size=need.head_size,
            max_rows=config.scheduler.max_rows,
            max_step_tokens=config.scheduler.max_step_tokens,
            max_length=settings.max_length(config, spec),
            num_blocks=num_blocks[cache_group.index] + 1,
        )
        layout = self._layouts[cache_group.index]
        attention = served.backend.create(cache_group, layout, limits)
        return BoundAttention(
            attention,
            cache_group.index,
            served.layers,
            served.backend.capture,
            served.backend.needs_host_lengths,
        )

    def _num_kv_heads(self, group: CacheGroup) -> int:
        return settings.heads_of_rank(group.num_kv_heads, self._context.num_ranks)


@dataclass(frozen=True, slots=True)
class _Served:
    """Layers of one cache group, with one need, for which one object of a backend attends."""

    plugin: PluginRef
    backend: AttentionBackend
    group: AttentionGroup  # the first of the groups that are served together
    layers: tuple[int, ...]


def _served(context: WorkerContext, device: torch.device) -> tuple[_Served, ...]:
    """The selected backends. Groups that only a rule told apart share an object if they got the same plugin."""
    plugins = context.activation.by_module(KIND)
    together: dict[tuple[int, AttentionNeed, PluginRef], list[AttentionGroup]] = {}
    for group in attention_groups(context.spec, context.config, device.type):
        plugin = plugins[group.modules[0]]
        together.setdefault((group.cache_group.index, group.need, plugin), []).append(group)
    return tuple(
        _Served(
            plugin,
            load_plugin(context.activation, plugin),
            groups[0],
            tuple(sorted(layer for group in groups for layer in group.layers)),
        )
        for (_, _, plugin), groups in together.items()
    )
