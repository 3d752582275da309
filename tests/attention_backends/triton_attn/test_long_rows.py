"""Rows of many tiles equal attention in float64. On Hopper the copy engine reads blocks, and long rows have a kernel of their own."""

import pytest
import torch

pytestmark = pytest.mark.gpu
USUAL = (64, 8, 2, 128)  # slots of a block, heads, kv heads, elements of a head
BOUND = 6e-3


def attend(lengths, query_lengths, sizes=USUAL, dtype=torch.bfloat16):
    """Outputs of the backend over a shuffled cache of noise, and the right outputs, row by row.

    Slots without a token and memory that outputs may get hold NaN.
    """
    from jackfield_torch.interfaces.attention import (
        AttentionBatch,
        AttentionLimits,
        LayerAttention,
        LayerCache,
    )
    from jackfield_triton_attn.attention import TritonAttention

    device = torch.device("cuda")
    generator = torch.Generator(device).manual_seed(0)
    block_size, heads, kv_heads, head_size = sizes
    counts = [-(-length // block_size) for length in lengths]
    shape = (2, sum(counts) + 1, block_size, kv_heads, head_size)
    cache = torch.randn(shape, device=device, generator=generator).to(dtype)
    cache[:, -1] = float("nan")
    order = torch.randperm(sum(counts), device=device, generator=generator).int()
    table = torch.full((len(lengths), max(counts)), shape[1] - 1, dtype=torch.int32, device=device)
    for row, blocks, length in zip(table, order.split(counts), lengths, strict=True):
        row[: len(blocks)] = blocks
        cache[:, blocks[-1], (length - 1) % block_size + 1 :] = float("nan")
    q = torch.randn(sum(query_lengths), heads, head_size, device=device, generator=generator)
    q = q.to(dtype)
    attention = TritonAttention(
        AttentionLimits(
            device=device, dtype=dtype, num_heads=heads, num_kv_heads=kv_heads, head_size=head_size,
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
    unset = torch.full_like(q, float("nan"))
    del unset  # the outputs take this memory
    found = attention.attend(
        q, LayerCache(cache[0], cache[1]), LayerAttention(scale=head_size**-0.5)
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
    key, value = (part.repeat_interleave(len(q) // len(key), 0) for part in (key, value))
    hidden = (
        torch.ones(q.shape[1], key.shape[1], device=q.device).tril(key.shape[1] - q.shape[1]) == 0
    )
    scores = (q @ key.transpose(1, 2) * q.shape[2] ** -0.5).masked_fill(hidden, float("-inf"))
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


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        ((64, 16, 8, 128), torch.bfloat16),
        ((16, 6, 2, 64), torch.bfloat16),
        ((256, 14, 2, 64), torch.float16),
    ],
)
def test_prompts_and_chunks_of_common_shapes_are_exact(sizes, dtype):
    lengths, query_lengths = [1500, 333, 4, 1000, 257], [1500, 7, 4, 513, 1]

    found, exact = attend(lengths, query_lengths, sizes, dtype)

    assert float((found - exact).norm() / exact.norm()) < BOUND
