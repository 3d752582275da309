"""What the kernel promises beyond the conformance kit."""

import pytest
import torch

from jackfield.cache import CacheGroup, key_and_value
from jackfield.dtypes import BFLOAT16, FLOAT8_E4M3, FLOAT32
from jackfield_cpu_paged.attention import CpuPagedAttention
from jackfield_cpu_paged.kernel import Level, load_library
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)

BLOCK_SIZE = 16
NAMES = {
    torch.float32: FLOAT32,
    torch.bfloat16: BFLOAT16,
    torch.float8_e4m3fn: FLOAT8_E4M3,
}


def attend(
    lengths,
    head_size=64,
    kv_heads=2,
    group=3,
    dtype=torch.float32,
    cache_dtype=None,
    level=None,
    edit=lambda q, k: None,
):
    """Outputs of rows that decode, and attention in float64."""
    cache_dtype = cache_dtype or dtype
    torch.manual_seed(0)
    num_blocks = -(-max(lengths) // BLOCK_SIZE)
    table = torch.randperm(len(lengths) * num_blocks).view(len(lengths), -1).int()
    storage = torch.randn(2, kv_heads, table.numel(), BLOCK_SIZE, head_size).to(cache_dtype)
    q = torch.randn(len(lengths), kv_heads * group, head_size).to(dtype)
    edit(q, storage[0])
    limits = AttentionLimits(
        device=q.device,
        dtype=dtype,
        num_heads=kv_heads * group,
        num_kv_heads=kv_heads,
        head_size=head_size,
        max_rows=len(lengths),
        max_step_tokens=64,
        max_length=max(lengths),
        num_blocks=table.numel(),
    )
    cache_group = CacheGroup(
        index=0,
        kind="full",
        layers=(0,),
        tensors=key_and_value(kv_heads, head_size, NAMES[cache_dtype]),
    )
    attention = CpuPagedAttention(cache_group, limits, level)
    attention.prepare(
        AttentionBatch(
            query_lengths=[1] * len(lengths),
            lengths=lengths,
            query_starts_R1=torch.arange(len(lengths) + 1).int(),
            lengths_R=torch.tensor(lengths).int(),
            block_ids_RB=table,
            slots_T=torch.zeros(len(lengths), dtype=torch.int64),
        )
    )
    key, value = storage.permute(0, 2, 3, 1, 4)
    found = attention.attend(q, LayerCache(key, value), LayerAttention(scale=0.125))
    return found, torch.stack(
        [_exact(q[r], key[table[r]], value[table[r]], n) for r, n in enumerate(lengths)]
    )


def _exact(q_NH, key_BSKH, value_BSKH, length):
    group = q_NH.shape[0] // key_BSKH.shape[2]
    k, v = (x.flatten(0, 1)[:length].double() for x in (key_BSKH, value_BSKH))
    k, v = (x.repeat_interleave(group, 1).transpose(0, 1) for x in (k, v))
    weights = torch.softmax(0.125 * k @ q_NH.double().unsqueeze(2), dim=1)
    return (weights * v).sum(1)


@pytest.mark.parametrize("head_size", [1, 8, 64, 80, 128, 200, 512])
@pytest.mark.parametrize("group", [1, 4, 5, 8])
def test_every_head_size_and_group_is_summed_in_float32(head_size, group):
    found, exact = attend([1, 15, 33], head_size=head_size, group=group)

    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("cache_dtype", [torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize(("head_size", "group"), [(8, 5), (64, 3), (80, 1), (128, 4), (256, 8)])
def test_every_level_rounds_bfloat16_at_the_end_alone(head_size, group, cache_dtype, level):
    if level > load_library().paged_decode_level():
        pytest.skip("this processor has no AVX-512 with BF16 and VBMI")
    types = {"dtype": torch.bfloat16, "cache_dtype": cache_dtype}

    found, exact = attend([1, 15, 33, 300], head_size, group=group, level=level, **types)

    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("lengths", [[3000, 5, 700], [2200]])
def test_a_long_row_is_cut_between_threads_and_joined(lengths, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)

    found, exact = attend(lengths, kv_heads=1)

    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-6)


def test_scores_far_below_the_largest_weigh_nothing():
    def spread(q, keys):
        q *= 40
        keys *= 10

    found, exact = attend([40], edit=spread)

    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_in_a_query_reaches_its_own_heads_and_no_others(dtype):
    def spoil(q, keys):
        q[0, 3] = torch.nan

    found, _ = attend([20, 20], dtype=dtype, edit=spoil)

    assert found.isnan().all(-1).nonzero().tolist() == [[0, 3]]
    assert found.isnan().sum() == found.shape[-1]


def test_infinite_scores_become_nan_and_no_number():
    def spoil(q, keys):
        q[0, 3] = torch.inf

    found, _ = attend([20], edit=spoil)

    assert found[0, 3].isnan().all()
    assert not found[0, 2].isnan().any()


def test_subnormal_numbers_live_on_where_the_library_is_loaded():
    assert torch.tensor(1e-40).mul(1).item() > 0
