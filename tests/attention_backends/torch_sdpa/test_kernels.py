"""Attention over gathered keys and values equals what it is by definition."""

import pytest
import torch

from jackfield_torch_sdpa.kernels import batched, fused


@pytest.mark.parametrize("is_masked", [False, True])
def test_products_that_float16_does_not_hold_may_have_a_small_scale(is_masked):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, width, 64) for width in (4, 50, 50))
    q, k, v = (200 * q).half(), (200 * k).half(), v.half()
    mask = torch.zeros(3, 1, 50)
    mask[:, :, 40:] = -torch.inf if is_masked else 0
    scores = q.double() @ k.double().transpose(-1, -2)
    scale = float(3 / scores.std())

    found = batched(q, k, v, mask.half() if is_masked else None, scale)

    exact = (scale * scores + mask.unsqueeze(1)).softmax(-1) @ v.double()
    assert scores.abs().max() > torch.finfo(torch.float16).max
    assert torch.allclose(found.double(), exact, atol=1e-2)


@pytest.mark.parametrize("num_queries", [1, 32, 33, 65])
def test_a_last_query_that_is_alone_in_its_tile_is_computed_as_all_others(num_queries, monkeypatch):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, count, 8) for count in (num_queries, 70, 70))
    mask = torch.where(torch.rand(1, 1, num_queries, 70) < 0.5, -torch.inf, 0.0)
    calls = []
    operator = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **values: calls.append(args[0].shape[2]) or operator(*args, **values),
    )

    found = fused(q, k, v, mask, False, 0.5)

    exact = (0.5 * q.double() @ k.double().transpose(-1, -2) + mask).softmax(-1) @ v.double()
    assert torch.allclose(found.double(), exact, atol=1e-5)
    assert all(count == 1 or count % 32 != 1 for count in calls)
