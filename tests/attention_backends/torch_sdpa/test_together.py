"""Attention without a cache equals plain arithmetic in float64, whatever rows run together."""

import pytest
import torch

from jackfield_torch.interfaces.attention import LayerAttention
from jackfield_torch_sdpa.together import TogetherPlan

HEADS, KV_HEADS, SIZE = 4, 2, 8
ROWS = {
    "equal": [7, 7, 7],
    "alike": [5, 9, 1, 8, 3],
    "far apart": [300, 2, 150, 3, 299, 1],
    "one": [13],
}


def by_rows(q_TNH, k_TKH, v_TKH, lengths, layer):
    """Row by row in float64."""
    outputs = []
    for q, k, v in zip(*(x.double().split(lengths) for x in (q_TNH, k_TKH, v_TKH)), strict=True):
        k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
        scores_NQL = torch.einsum("qnh,lnh->nql", q, k) * layer.scale
        if layer.soft_cap is not None:
            scores_NQL = layer.soft_cap * (scores_NQL / layer.soft_cap).tanh()
        if layer.window is not None:
            place_L = torch.arange(len(q))
            is_far = (place_L[:, None] - place_L).abs() >= layer.window
            scores_NQL = scores_NQL.masked_fill(is_far, -torch.inf)
        outputs.append(torch.einsum("nql,lnh->qnh", scores_NQL.softmax(-1), v))
    return torch.cat(outputs)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("window", "soft_cap"), [(None, None), (3, None), (None, 0.8)])
def test_tokens_see_those_of_their_row(rows, window, soft_cap):
    lengths = ROWS[rows]
    generator = torch.Generator().manual_seed(2)
    q, k, v = (
        torch.randn((sum(lengths), heads, SIZE), generator=generator)
        for heads in (HEADS, KV_HEADS, KV_HEADS)
    )
    layer = LayerAttention(scale=0.4, window=window, soft_cap=soft_cap, causal=False)

    plan = TogetherPlan(lengths, KV_HEADS, torch.float32, torch.device("cpu"))
    found = plan.attend(q, k, v, layer)

    assert (found - by_rows(q, k, v, lengths, layer)).abs().max() < 1e-5
