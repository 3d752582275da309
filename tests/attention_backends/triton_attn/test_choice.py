"""Which caches and layers the kernel for Hopper takes."""

import pytest
import torch

pytest.importorskip("triton")


def fits(dtype=torch.bfloat16, block_size=64, heads=(16, 8), head_size=128, **layer):
    from jackfield_torch.interfaces.attention import AttentionLimits, LayerAttention, LayerCache
    from jackfield_triton_attn.hopper import fits_hopper

    cache = torch.zeros(2, 2, block_size, heads[1], head_size, dtype=torch.bfloat16)
    limits = AttentionLimits(
        device=torch.device("cpu"), dtype=dtype, num_heads=heads[0], num_kv_heads=heads[1], head_size=head_size,
        max_rows=1, max_step_tokens=8, max_length=8, num_blocks=2,
    )  # fmt: skip
    return fits_hopper(limits, LayerCache(*cache), LayerAttention(scale=1.0, **layer))


@pytest.fixture(autouse=True)
def on_hopper(monkeypatch):
    from jackfield_triton_attn import hopper

    monkeypatch.setattr(hopper, "runs_hopper_kernels", lambda device: True)


def test_common_shapes_go_to_the_kernel_for_hopper():
    assert fits()
    assert fits(block_size=16, heads=(14, 2), head_size=64)


@pytest.mark.parametrize(
    "need",
    [
        {"block_size": 24}, {"head_size": 96}, {"dtype": torch.float16}, {"window": 100}, {"soft_cap": 30.0},
        {"causal": False}, {"sinks_N": torch.zeros(16)},
    ],
)  # fmt: skip
def test_all_else_stays_with_the_common_kernel(need):
    assert not fits(**need)
