"""Attention over the paged cache of one group, with the release of FlashAttention that serves its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jackfield.interfaces.card import Facts
from jackfield_flash_attn.variant import Ask, Call, Variant
from jackfield_flash_attn.variants import choose
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)

Run = Callable[[Call], Tensor]


class FlashAttention(GroupAttention):
    """All rows of a step use one kernel call; nothing is planned on the host.

    The longest length is not given exactly, but as the number of blocks in its table times their size. This is the
    same for every replay of a recorded step.
    """

    def __init__(
        self, limits: AttentionLimits, block_size: int, variants: Sequence[Variant], facts: Facts
    ) -> None:
        self._limits, self._block_size = limits, block_size
        self._variants, self._facts = variants, facts
        self._sums = torch.zeros(limits.max_rows + 1, dtype=torch.int32, device=limits.device)
        self._batch: AttentionBatch | None = None
        self._most_queries = 0
        self._runs: dict[frozenset[str], Run] = {}

    def prepare(self, batch: AttentionBatch) -> None:
        """Sum the lengths, for releases that need the sums."""
        self._batch = batch
        self._most_queries = max(batch.query_lengths)
        num_rows = len(batch.lengths_R)
        if num_rows >= len(self._sums):  # padding may add rows to the largest planned number
            self._sums = self._sums.new_zeros(num_rows + 1)
        torch.cumsum(batch.lengths_R, 0, dtype=torch.int32, out=self._sums[1 : num_rows + 1])

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        batch = self._batch
        assert batch is not None, "prepare() comes first"
        call = Call(
            q_TNH=q_TNH,
            key_BSHD=cache.key_BSHD,
            value_BSHD=cache.value_BSHD,
            query_starts_R1=batch.query_starts_R1,
            lengths_R=batch.lengths_R,
            length_sums_R1=self._sums[: len(batch.lengths_R) + 1],
            block_ids_RB=batch.block_ids_RB,
            most_queries=self._most_queries,
            most_length=batch.block_ids_RB.shape[1] * self._block_size,
            layer=layer,
        )
        return self._run_of(layer)(call)

    def close(self) -> None:
        """Drop the buffer."""
        self._batch = None
        self._sums = self._sums.new_zeros(1)

    def _run_of(self, layer: LayerAttention) -> Run:
        """The call of the release that serves such layers."""
        features = frozenset(_features(layer))
        run = self._runs.get(features)
        if run is None:
            ask = Ask(
                head_size=self._limits.head_size, block_size=self._block_size, features=features
            )
            variant, refusals = choose(self._variants, ask, self._facts)
            assert variant is not None, f"check() took what nobody serves: {refusals}"
            library, attend = variant.load(), variant.attend
            run = self._runs[features] = lambda call: attend(library, call)
        return run


def _features(layer: LayerAttention) -> list[str]:
    asked = {
        "window": layer.window is not None,
        "soft_cap": layer.soft_cap is not None,
        "sinks": layer.sinks_N is not None,
        "non_causal": not layer.causal,
    }
    return [name for name, is_asked in asked.items() if is_asked]
