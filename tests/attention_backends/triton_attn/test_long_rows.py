"""Rows of many tiles over large blocks equal attention in float64. On Hopper the copy engine reads such blocks."""

import pytest
import torch

pytestmark = pytest.mark.gpu
BLOCK_SIZE, HEADS, KV_HEADS, HEAD_SIZE = 64, 8, 2, 128
DTYPE, BOUND = torch.bfloat16, 6e-3


def attend(lengths, query_lengths):
    """Outputs of the backend over a shuffled cache of noise, and the right outputs, row by row."""
    from jackfield_torch.interfaces.attention import (
        AttentionBatch,
        AttentionLimits,
        LayerAttention,
        LayerCache,
    )
    from jackfield_triton_attn.attention import TritonAttention

    device = torch.device("cuda")
    generator = torch.Generator(device).manual_seed(0)
    counts = [-(-length // BLOCK_SIZE) for length in lengths]
    shape = (2, sum(counts) + 1, BLOCK_SIZE, KV_HEADS, HEAD_SIZE)
    cache = torch.randn(shape, device=device, generator=generator).to(DTYPE)
    order = torch.randperm(sum(counts), device=device, generator=generator).int()
    table = torch.zeros(len(lengths), max(counts), dtype=torch.int32, device=device)
    for row, blocks in zip(table, order.split(counts), strict=True):
        row[: len(blocks)] = blocks
    q = torch.randn(sum(query_lengths), HEADS, HEAD_SIZE, device=device, generator=generator).to(
        DTYPE
    )
    attention = TritonAttention(
        AttentionLimits(
            device=device, dtype=DTYPE, num_heads=HEADS, num_kv_heads=KV_HEADS, head_size=HEAD_SIZE,
            max_rows=len(lengths), max_step_tokens=len(q), max_length=max(lengths), num_blocks=shape[1],
        )
    )  # fmt: skip
    starts = torch.tensor([0, *query_lengths], device=device).cumsum(0).int()
    attention.prepare(
        AttentionBatch(
            query_lengths=query_lengths, lengths=lengths, query_starts_R1=starts,
            lengths_R=torch.tensor(lengths, dtype=torch.int32, device=device), block_ids_RB=table,
            slots_T=torch.zeros(len(q), dtype=torch.int64, device=device),
        )
    )  # fmt: skip
    found = attention.attend(
        q, LayerCache(cache[0], cache[1]), LayerAttention(scale=HEAD_SIZE**-0.5)
    )
    exact = [
        exact_row(rows_q, *(part[row[:count].long()].flatten(0, 1)[:length] for part in cache))
        for rows_q, row, count, length in zip(
            q.split(query_lengths), table, counts, lengths, strict=True
        )
    ]
    return found.double(), torch.cat(exact)


def exact_row(q, key, value):
    q, key, value = (part.double().transpose(0, 1) for part in (q, key, value))
    key, value = (part.repeat_interleave(HEADS // KV_HEADS, 0) for part in (key, value))
    hidden = (
        torch.ones(q.shape[1], key.shape[1], device=q.device).tril(key.shape[1] - q.shape[1]) == 0
    )
    scores = (q @ key.transpose(1, 2) * HEAD_SIZE**-0.5).masked_fill(hidden, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(0, 1)


@pytest.mark.parametrize(
    ("lengths", "query_lengths"),
    [
        ([700, 65, 64, 300], [700, 65, 64, 300]),  # prompts
        ([700, 128, 513], [200, 1, 100]),  # chunks behind a context, and a row that decodes
        ([1, 64, 65, 900, 4000], [1] * 5),
        ([300] * 40, [1] * 40),  # so many rows that each gets two splits
        ([500] * 300, [1] * 300),
    ],
)
def test_attention_over_many_blocks_is_exact(lengths, query_lengths):
    found, exact = attend(lengths, query_lengths)

    assert float((found - exact).norm() / exact.norm()) < BOUND
