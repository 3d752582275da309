"""Rows with several queries on the matrix unit, beyond the conformance kit: sizes across tiles, and several threads."""

import pytest
import torch

from jackfield.cache import CacheGroup, key_and_value
from jackfield.dtypes import BFLOAT16
from jackfield_cpu_paged.attention import CpuPagedAttention
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)

BLOCK_SIZE = 16


def attend(rows, head_size=64, kv_heads=2, group=3, **layer):
    """Outputs of rows (queries, length), and attention in float64."""
    torch.manual_seed(0)
    counts, lengths = zip(*rows, strict=True)
    num_blocks = -(-max(lengths) // BLOCK_SIZE)
    table = torch.randperm(len(rows) * num_blocks).view(len(rows), -1).int()
    storage = torch.randn(2, kv_heads, table.numel(), BLOCK_SIZE, head_size).bfloat16()
    q = torch.randn(sum(counts), kv_heads * group, head_size).bfloat16()
    limits = AttentionLimits(
        device=q.device,
        dtype=torch.bfloat16,
        num_heads=kv_heads * group,
        num_kv_heads=kv_heads,
        head_size=head_size,
        max_rows=len(rows),
        max_step_tokens=len(q),
        max_length=max(lengths),
        num_blocks=table.numel(),
    )
    tensors = key_and_value(kv_heads, head_size, BFLOAT16)
    cache_group = CacheGroup(index=0, kind="full", layers=(0,), tensors=tensors)
    attention = CpuPagedAttention(cache_group, limits)
    if not attention.has_prompt_kernel:
        pytest.skip("this processor has no matrix unit")
    attention.prepare(
        AttentionBatch(
            query_lengths=list(counts),
            lengths=list(lengths),
            query_starts_R1=torch.tensor([0, *counts]).cumsum(0).int(),
            lengths_R=torch.tensor(lengths).int(),
            block_ids_RB=table,
            slots_T=torch.zeros(len(q), dtype=torch.int64),
        )
    )
    key, value = storage.permute(0, 2, 3, 1, 4)
    found = attention.attend(q, LayerCache(key, value), LayerAttention(scale=0.125, **layer))
    exact = []
    for number, queries in enumerate(q.split(list(counts))):
        k, v = (x[table[number]].flatten(0, 1)[: lengths[number]] for x in (key, value))
        exact.append(_exact(queries, k, v, LayerAttention(scale=0.125, **layer)))
    return found, torch.cat(exact)


def _exact(q_QNH, k_WKH, v_WKH, layer):
    group = q_QNH.shape[1] // k_WKH.shape[1]
    k, v = (x.double().repeat_interleave(group, 1) for x in (k_WKH, v_WKH))
    scores = torch.einsum("qnh,wnh->nqw", q_QNH.double(), k) * layer.scale
    position_Q1 = torch.arange(len(k) - len(q_QNH), len(k)).unsqueeze(1)
    hidden = torch.arange(len(k)) > position_Q1
    behind = layer.are_behind(position_Q1, torch.arange(len(k)))
    if behind is not None:
        hidden |= behind
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return torch.einsum("nqw,wnh->qnh", weights, v)


@pytest.mark.parametrize(
    ("head_size", "kv_heads", "group"), [(32, 2, 1), (64, 3, 3), (96, 1, 7), (128, 2, 4), (256, 1, 8), (64, 1, 71)]
)  # fmt: skip
def test_prompts_and_their_parts_are_attended_across_tiles(head_size, kv_heads, group):
    found, exact = attend([(130, 130), (2, 300), (65, 200), (17, 17)], head_size, kv_heads, group)

    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=8e-3)


@pytest.mark.parametrize("layer", [{"window": 70}, {"chunk_size": 48}])
def test_queries_of_one_tile_see_different_tokens(layer, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)

    found, exact = attend([(200, 260), (90, 90)], **layer)

    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=8e-3)
