"""Attention over blocks equals attention written out, whatever is in slots that no query sees."""

import numpy as np
import pytest
from jackfield.cache import CacheGroup, key_and_value
from jackfield.dtypes import FLOAT32
from jackfield.model_spec import Attention
from jackfield.sampling import SamplingParams
from jackfield.step import NewRow, StepPlan

from jackfield_acme_numpy import attention
from jackfield_acme_numpy.attention import PagedAttention
from jackfield_acme_numpy.cache import GroupCache
from jackfield_acme_numpy.rows import Rows

BLOCK_SIZE, MAX_LENGTH, HEADS, KV_HEADS, HEAD_SIZE = 4, 400, 6, 2, 8
# (tokens in the cache, tokens of this step): single tokens, prompts, pieces, one of several tiles
LENGTHS = [(10, 1), (0, 5), (37, 1), (7, 9), (0, 300), (0, 1), (3, 5)]


def dense(q_TNH, k_LKH, v_LKH, spec, window):
    """One row in float64; the queries are its last tokens."""
    k_LNH, v_LNH = (np.repeat(x, HEADS // KV_HEADS, axis=1) for x in (k_LKH, v_LKH))
    scores_NTL = np.einsum("tnh,lnh->ntl", q_TNH, k_LNH, dtype=np.float64) * spec.scale
    if spec.soft_cap:
        scores_NTL = spec.soft_cap * np.tanh(scores_NTL / spec.soft_cap)
    behind_TL = np.subtract.outer(np.arange(len(k_LKH))[-len(q_TNH) :], np.arange(len(k_LKH)))
    scores_NTL[:, (behind_TL < 0) | (behind_TL >= (window or MAX_LENGTH))] = -np.inf
    weights_NTL = np.exp(scores_NTL - scores_NTL.max(-1, keepdims=True))
    weights_NTL /= weights_NTL.sum(-1, keepdims=True)
    return np.einsum("ntl,lnh->tnh", weights_NTL, v_LNH)


@pytest.mark.parametrize("window", [None, 1, 6, 64])
@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("most_scores", [1 << 20, 1 << 10])
def test_it_equals_attention_written_out(monkeypatch, window, soft_cap, most_scores):
    monkeypatch.setattr(attention, "_MOST_SCORES", most_scores)
    random = np.random.default_rng(1)
    spec = Attention(
        num_heads=HEADS, num_kv_heads=KV_HEADS, head_size=HEAD_SIZE, scale=0.7,
        window=window, soft_cap=soft_cap,
    )  # fmt: skip
    group = CacheGroup(
        index=0, kind="full", layers=(0, 3), tensors=key_and_value(KV_HEADS, HEAD_SIZE, FLOAT32), window=window,
    )  # fmt: skip
    free = random.permutation(MAX_LENGTH)
    cache = GroupCache(group, len(free), BLOCK_SIZE)
    nowhere = np.full((len(free) * BLOCK_SIZE, KV_HEADS, HEAD_SIZE), np.nan, np.float32)
    cache.write(3, np.arange(len(nowhere)), nowhere, nowhere)
    rows = Rows(len(LENGTHS), MAX_LENGTH, BLOCK_SIZE, 1)
    paged = PagedAttention([cache], rows)
    expected, step = [], []
    for row, (cached, new) in enumerate(LENGTHS):
        blocks, free = np.split(free, [-(-(cached + new) // BLOCK_SIZE)])
        rows.enter(
            NewRow(
                row=row,
                token_ids=[0] * (cached + new),
                num_prompt_tokens=1,
                num_computed=cached,
                block_ids=(blocks.tolist(),),
                sampling=SamplingParams(),
                seed=0,
            )
        )
        q = random.standard_normal((new, HEADS, HEAD_SIZE), np.float32)
        k, v = random.standard_normal((2, cached + new, KV_HEADS, HEAD_SIZE), np.float32)
        first = max(0, cached - (window or MAX_LENGTH) + 1)  # what is behind the window stays NaN
        slots = rows.slots(0, np.full(cached - first, row), np.arange(first, cached))
        cache.write(3, slots, k[first:cached], v[first:cached])
        expected.append(dense(q, k, v, spec, window))
        step.append((q, k[cached:], v[cached:]))

    counts = [new for _, new in LENGTHS]
    everyone = range(len(LENGTHS))
    paged.begin(rows.batch(StepPlan(step_id=0, rows=everyone, num_tokens=counts)))
    found = paged.attend(3, spec, *(np.concatenate(part) for part in zip(*step, strict=True)))

    np.testing.assert_allclose(found, np.concatenate(expected), atol=2e-6)
