"""Attention over the paged cache of one group: rows with one query read blocks, keys of other rows are gathered."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a step for one call of an operator."""

    tokens: Tensor | None  # tokens of the step; None: all in order
    masks: dict[bool, Any]  # xFormers' bias, by whether a query sees later tokens
    # The slots of the cache that are gathered. None: the bias says which blocks are read.
    slots_L: Tensor | None


class XformersAttention(GroupAttention):
    """Plans once a step. K kv heads with G query heads each are a group in xFormers, whose keys are not repeated."""

    def __init__(self, block_size: int, limits: AttentionLimits, library: ModuleType) -> None:
        self._block_size, self._limits, self._library = block_size, limits, library
        self._device = limits.device
        self._paged: dict[int, Any] = {}  # bias by number of rows, for recorded steps
        self._parts: list[_Part] = []
        self._offset_S = torch.arange(block_size, device=limits.device)

    def prepare(self, batch: AttentionBatch) -> None:
        """Separate the rows with one query from the others."""
        single = [row for row, count in enumerate(batch.query_lengths) if count == 1]
        several = [row for row, count in enumerate(batch.query_lengths) if count > 1]
        starts = [0]
        for count in batch.query_lengths:
            starts.append(starts[-1] + count)
        self._parts = []
        if single:
            rows = None if not several else self._ints(single)
            tokens = None if rows is None else self._ints([starts[row] for row in single])
            self._parts.append(_Part(tokens, self._paged_masks(batch, single, rows), None))
        if several:
            tokens = None
            if single:
                places = [range(starts[row], starts[row + 1]) for row in several]
                tokens = self._ints([token for place in places for token in place])
            slots = torch.cat([self._slots(batch, row) for row in several])
            self._parts.append(_Part(tokens, self._gathered_masks(batch, several), slots))

    def attend(self, q_TNH: Tensor, cache: LayerCache, layer: LayerAttention) -> Tensor:
        """See GroupAttention."""
        key_LKH, value_LKH = cache.key_BSHD.flatten(0, 1), cache.value_BSHD.flatten(0, 1)
        if len(self._parts) == 1:
            return self._attend(self._parts[0], q_TNH, key_LKH, value_LKH, layer)
        o_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device)
        for part in self._parts:
            o_TNH[part.tokens] = self._attend(part, q_TNH[part.tokens], key_LKH, value_LKH, layer)
        return o_TNH

    def close(self) -> None:
        """Drop plans."""
        self._parts.clear()
        self._paged.clear()

    def _attend(
        self, part: _Part, q_TNH: Tensor, key_LKH: Tensor, value_LKH: Tensor, layer: LayerAttention
    ) -> Tensor:
        operator = self._library.triton_splitk.FwOp
        if part.slots_L is not None:
            operator = self._library.flash.FwOp
            key_LKH, value_LKH = key_LKH[part.slots_L], value_LKH[part.slots_L]
        num_kv_heads = key_LKH.shape[1]
        q_TKGH = q_TNH.reshape(q_TNH.shape[0], num_kv_heads, -1, q_TNH.shape[2])
        group = q_TKGH.shape[2]
        k, v = (x.unsqueeze(2).expand(-1, -1, group, -1) for x in (key_LKH, value_LKH))
        inputs = self._library.Inputs(
            query=q_TKGH.unsqueeze(0),
            key=k.unsqueeze(0),
            value=v.unsqueeze(0),
            attn_bias=part.masks[not layer.causal],
            scale=layer.scale,
        )
        # The operator is called directly: xFormers' own entry refuses tensors on a GPU if its extension does not load.
        output: Tensor = operator.apply(inputs, needs_gradient=False)[0]
        return output.reshape(q_TNH.shape)

    def _paged_masks(
        self, batch: AttentionBatch, single: list[int], rows: Tensor | None
    ) -> dict[bool, Any]:
        """The bias of rows with one query, for which causality hides nothing.

        The bias reads lengths and blocks in place on the device, so the tensors that it was made with are replaced.
        """
        count = len(single)
        lengths_R, block_ids_RB = batch.lengths_R, batch.block_ids_RB
        if rows is not None:
            lengths_R, block_ids_RB = lengths_R[rows], block_ids_RB[rows]
        mask = self._paged.get(count)
        if mask is None:
            kind = self._library.attn_bias.PagedBlockDiagonalCausalWithOffsetPaddedKeysMask
            ones = [1] * count
            mask = kind.from_seqlens(
                ones, ones, block_ids_RB, self._block_size, device=self._device
            )
            self._paged[count] = mask
        mask.k_seqinfo.seqlen = lengths_R
        mask.block_tables = block_ids_RB
        return {False: mask, True: mask}

    def _gathered_masks(self, batch: AttentionBatch, rows: list[int]) -> dict[bool, Any]:
        queries = [batch.query_lengths[row] for row in rows]
        keys = [batch.lengths[row] for row in rows]
        kinds = self._library.attn_bias
        return {
            is_open: kind.from_seqlens(queries, keys, device=self._device)
            for is_open, kind in (
                (False, kinds.BlockDiagonalCausalFromBottomRightMask),
                (True, kinds.BlockDiagonalMask),
            )
        }

    def _slots(self, batch: AttentionBatch, row: int) -> Tensor:
        """The slots of a row's tokens in the cache, int64 [L]."""
        length = batch.lengths[row]
        blocks = batch.block_ids_RB[row, : -(-length // self._block_size)].long()
        return (blocks.unsqueeze(1) * self._block_size + self._offset_S).flatten()[:length]

    def _ints(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)
