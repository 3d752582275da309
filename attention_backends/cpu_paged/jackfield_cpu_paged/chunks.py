"""Rows with many queries: a prompt, or a part of one. Each row is computed by itself, with torch's fused operator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from jackfield_torch.interfaces.attention import AttentionBatch, LayerAttention, LayerCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Q queries of one row, with the W slots that they see together."""

    tokens: slice  # tokens of the step
    # The blocks of the cache that hold the W slots: a slice if they follow one another.
    blocks: slice | Tensor
    slots: slice  # slots of these blocks
    # 0 or -inf; None: the queries are all W tokens, so a lower triangle suffices.
    mask_QW: Tensor | None

    def attend(self, q_TNH: Tensor, cache: LayerCache, scale: float, o_TNH: Tensor) -> None:
        """Write the outputs of this chunk's tokens to `o_TNH`."""
        num_kv_heads = cache.key_BSHD.shape[2]
        q_QNH = q_TNH[self.tokens]
        num_queries, _, head_size = q_QNH.shape
        q_KGQH = q_QNH.view(num_queries, num_kv_heads, -1, head_size).permute(1, 2, 0, 3)
        # The heads of a group share the same keys, expanded with stride 0. SDPA's own enable_gqa is several times
        # slower.
        shape = -1, q_KGQH.shape[1], -1, -1
        dtype = q_TNH.dtype
        k_KGWH = self._read(cache.key_BSHD, dtype).unsqueeze(1).expand(shape)
        v_KGWH = self._read(cache.value_BSHD, dtype).unsqueeze(1).expand(shape)
        o_KGQH = functional.scaled_dot_product_attention(
            q_KGQH,
            k_KGWH,
            v_KGWH,
            attn_mask=self.mask_QW,
            is_causal=self.mask_QW is None,
            scale=scale,
        )
        o_TNH[self.tokens] = o_KGQH.permute(2, 0, 1, 3).flatten(1, 2)

    def _read(self, cache_BSHD: Tensor, dtype: torch.dtype) -> Tensor:
        """[kv heads, W, head size] in `dtype`."""
        cache_HBSD = cache_BSHD.permute(2, 0, 1, 3)
        if cache_BSHD.itemsize == 1:  # torch moves the bytes, and converts them afterwards
            cache_HBSD = cache_HBSD.view(torch.uint8)
        if isinstance(self.blocks, slice):
            found = cache_HBSD[:, self.blocks]
        else:
            found = cache_HBSD.index_select(1, self.blocks)
        return found.flatten(1, 2)[:, self.slots].view(cache_BSHD.dtype).to(dtype)


def plan_chunks(
    batch: AttentionBatch, block_size: int, layer: LayerAttention, dtype: torch.dtype
) -> list[Chunk]:
    """A chunk for each row with several queries, for layers with the same window and chunk size as this one."""
    chunks = []
    token = 0
    rows = zip(batch.query_lengths, batch.lengths, batch.block_ids_RB, strict=True)
    for num_queries, length, table_B in rows:
        if num_queries > 1:
            first = layer.first_seen(length - num_queries)
            start = first // block_size * block_size
            chunk = Chunk(
                tokens=slice(token, token + num_queries),
                blocks=_blocks(table_B[first // block_size : (length - 1) // block_size + 1]),
                slots=slice(first - start, length - start),
                mask_QW=_mask(num_queries, first, length, layer, dtype),
            )
            chunks.append(chunk)
        token += num_queries
    return chunks


def _blocks(ids_B: Tensor) -> slice | Tensor:
    first, count = int(ids_B[0]), len(ids_B)
    if torch.equal(ids_B, torch.arange(first, first + count, dtype=ids_B.dtype)):
        return slice(first, first + count)
    return ids_B


def _mask(
    num_queries: int, first: int, length: int, layer: LayerAttention, dtype: torch.dtype
) -> Tensor | None:
    """The mask of the last `num_queries` of `length` tokens over positions [first, length)."""
    if num_queries == length - first and layer.first_seen(length - 1) == first:
        return None
    query_Q1 = torch.arange(length - num_queries, length).unsqueeze(1)
    key_W = torch.arange(first, length)
    is_hidden_QW = key_W > query_Q1
    behind_QW = layer.are_behind(query_Q1, key_W)
    if behind_QW is not None:
        is_hidden_QW |= behind_QW
    mask_QW = torch.zeros(is_hidden_QW.shape, dtype=dtype)
    return mask_QW.masked_fill_(is_hidden_QW, float("-inf"))
