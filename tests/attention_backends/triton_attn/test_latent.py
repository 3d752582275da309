"""Steps of many kinds over a latent cache, against attention in float64: on an accelerator, or in Triton's interpreter."""

import os

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="TRITON_INTERPRET is not 1")
    ),
]
LATENT, ROTATED = 512, 64
# Of the norm of all outputs. The interpreter does not multiply bfloat16.
BOUND = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
DTYPES = [dtype for dtype in BOUND if not (INTERPRETED and dtype == torch.bfloat16)]
DTYPE = DTYPES[-1]
SCALE = 192**-0.5
STEPS = {  # lengths of rows, and their queries in the step
    "rows of very different lengths": ([1, 64, 65, 900, 3], [1] * 5),
    "one long row, whose context is split": ([2000], [1]),
    "more rows than processors": ([130] * 140, [1] * 140),
    "drafts": ([300, 7, 129], [4, 4, 4]),
    "a chunk behind a context, beside rows that decode": ([200, 90, 65], [70, 1, 1]),
    "whole prompts": ([33, 70], [33, 70]),
}


def attend(lengths, counts, *, device, dtype, num_heads=16, block_size=64, max_rows=None):
    """Outputs of the backend over a shuffled cache of noise whose unwritten slots hold NaN, and exact ones."""
    from jackfield_torch.interfaces.attention import (
        AttentionBatch,
        AttentionLimits,
        LayerAttention,
        LayerCache,
    )
    from jackfield_triton_attn.latent import LatentAttention

    generator = torch.Generator().manual_seed(0)
    owned = [-(-length // block_size) for length in lengths]
    blocks = torch.randperm(sum(owned), generator=generator).int().split(owned)
    kept = torch.full((sum(owned), block_size, 1, LATENT + ROTATED), torch.nan, dtype=dtype)
    table = torch.zeros(len(lengths), max(owned), dtype=torch.int32)
    rows = []
    for place, (length, mine) in enumerate(zip(lengths, blocks, strict=True)):
        rows.append(torch.randn(length, LATENT + ROTATED, generator=generator).to(dtype))
        position = torch.arange(length)
        kept[mine[position // block_size].long(), position % block_size, 0] = rows[-1]
        table[place, : len(mine)] = mine
    shape = (sum(counts), num_heads, LATENT + ROTATED)
    q_TNH = torch.randn(shape, generator=generator).to(dtype)
    attention = LatentAttention(
        AttentionLimits(
            device=torch.device(device), dtype=dtype, num_heads=num_heads, num_kv_heads=1, head_size=LATENT + ROTATED,
            max_rows=max_rows or len(lengths), max_step_tokens=len(q_TNH), max_length=max(lengths), num_blocks=len(kept),
        ),
        dtype.itemsize,
    )  # fmt: skip
    attention.prepare(
        AttentionBatch(
            query_lengths=counts, lengths=lengths,
            query_starts_R1=torch.tensor([0, *counts]).cumsum(0).int().to(device),
            lengths_R=torch.tensor(lengths).int().to(device), block_ids_RB=table.to(device),
            slots_T=torch.zeros(len(q_TNH), dtype=torch.int64, device=device),
        )
    )  # fmt: skip
    kept = kept.to(device)
    found = attention.attend(
        q_TNH.to(device), LayerCache(kept, kept[..., :LATENT]), LayerAttention(scale=SCALE, latent=LATENT)
    )  # fmt: skip
    exact = [exact_row(*each) for each in zip(q_TNH.split(counts), rows, strict=True)]
    return found.cpu().double(), torch.cat(exact)


def exact_row(q_nNH, row_LD):
    q, row = q_nNH.double().transpose(0, 1), row_LD.double()
    is_seen = torch.ones(q.shape[1], len(row)).tril(len(row) - q.shape[1]).bool()
    scores = (q @ row.T * SCALE).masked_fill(~is_seen, float("-inf"))
    return (scores.softmax(-1) @ row[:, :LATENT]).transpose(0, 1)


def distance(found, exact):
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_over_latent_vectors_is_exact(step, dtype, device):
    found, exact = attend(*STEPS[step], device=device, dtype=dtype)

    assert distance(found, exact) < BOUND[dtype]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("num_heads", [1, 6, 128])
@pytest.mark.parametrize("step", ["rows of very different lengths", "drafts"])
def test_any_number_of_heads_is_served(step, num_heads, device):
    found, exact = attend(*STEPS[step], device=device, dtype=DTYPE, num_heads=num_heads)

    assert distance(found, exact) < BOUND[DTYPE]


@pytest.mark.parametrize("device", DEVICES)
def test_a_tile_may_lie_in_several_blocks(device):
    step = STEPS["a chunk behind a context, beside rows that decode"]

    found, exact = attend(*step, device=device, dtype=DTYPE, block_size=16)

    assert distance(found, exact) < BOUND[DTYPE]


def test_splits_fill_the_chip_once_or_nearly_so():
    from jackfield_triton_attn.tiles import latent_splits

    programs = {rows: rows * latent_splits(rows, 264, 32, 8192) for rows in (8, 32, 64, 128)}

    assert programs == {8: 256, 32: 256, 64: 256, 128: 256}


def test_tiles_suit_a_cache_that_is_wider_than_queries(monkeypatch):
    from jackfield.cache import LATENT, CacheGroup, CacheLayout, CacheTensor
    from jackfield.dtypes import FLOAT32
    from jackfield_torch.interfaces.attention import AttentionLimits
    from jackfield_triton_attn import latent
    from jackfield_triton_attn.backend import TritonAttnBackend

    asked, choose = set(), latent.latent_tiles
    monkeypatch.setattr(
        latent,
        "latent_tiles",
        lambda heads, size, **at: asked.add(size) or choose(heads, size, **at),
    )
    limits = AttentionLimits(
        device=torch.device("cpu"), dtype=torch.bfloat16, num_heads=16, num_kv_heads=1, head_size=576,
        max_rows=4, max_step_tokens=4, max_length=64, num_blocks=4,
    )  # fmt: skip
    kept = CacheTensor(name="latent", shape=(1, 576), dtype=FLOAT32)
    group = CacheGroup(index=0, kind=LATENT, layers=(0,), tensors=(kept,))

    TritonAttnBackend().create(group, CacheLayout(block_size=16, dtype=FLOAT32), limits)

    assert asked == {FLOAT32.itemsize}


def test_parts_of_contexts_take_less_memory_than_four_rounds_of_programs():
    from jackfield_triton_attn.tiles import latent_splits

    programs = [4 * rows for rows in range(1, 513)]  # of 128 heads
    split = [n * splits for n in programs if (splits := latent_splits(n, 264, 32, 8192)) > 1]

    assert max(split) <= 4 * 264
