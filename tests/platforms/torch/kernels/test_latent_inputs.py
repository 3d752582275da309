"""What enters attention over a latent cache: norm, rotation and writing in one launch give what torch's operations give."""

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
TOKENS, HEADS, HEAD, LATENT, ROTATED, BLOCK_SIZE = 5, 11, 24, 40, 16, 4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interleaved", [True, False])
def test_a_latent_vector_is_normed_rotated_and_kept(interleaved, device):
    from jackfield.model_spec import Rope
    from jackfield_torch.interfaces.attention import LayerCache
    from jackfield_torch.interfaces.kernels import LatentFacts
    from jackfield_torch.kernels.latent_inputs import rotate_and_keep
    from jackfield_torch.rope import RopeTable, build_rotate

    generator = torch.Generator().manual_seed(0)
    q, kept, weight = (
        torch.randn(shape, generator=generator).to(device)
        for shape in ((TOKENS, HEADS, HEAD + ROTATED), (TOKENS, LATENT + ROTATED), (LATENT,))
    )
    rope = Rope(theta=100.0, rotary_size=ROTATED, interleaved=interleaved)
    positions = torch.arange(TOKENS, device=device) + 3
    rotation = RopeTable(rope, 16, torch.device(device), torch.float32).rows(positions)
    facts = LatentFacts(
        head_size=HEAD, latent_size=LATENT, rotary_size=ROTATED, norm_weight_C=weight, norm_epsilon=1e-6,
        interleaved=interleaved,
    )  # fmt: skip
    cache = torch.zeros(4, BLOCK_SIZE, 1, LATENT + ROTATED, device=device)
    slots = torch.tensor([9, 2, 15, 4, 0], device=device)

    views = LayerCache(cache, cache[..., :LATENT])
    absorbed = rotate_and_keep(facts, q, kept, rotation.cos_T1P, rotation.sin_T1P, views, slots)

    rotate = build_rotate(rope, ROTATED)
    key = rotate(kept[:, None, LATENT:], rotation)[:, 0]
    latent = torch.rms_norm(kept[:, :LATENT], (LATENT,), weight, 1e-6)
    written = cache[slots // BLOCK_SIZE, slots % BLOCK_SIZE, 0]
    torch.testing.assert_close(written, torch.cat((latent, key), 1))
    torch.testing.assert_close(absorbed[..., LATENT:], rotate(q[..., HEAD:], rotation))


@pytest.mark.parametrize("device", DEVICES)
def test_a_float8_cache_gets_what_torch_would_write(device):
    from jackfield_torch.interfaces.attention import LayerCache
    from jackfield_torch.interfaces.kernels import HeadFacts
    from jackfield_torch.kernels.heads import rotate_and_write

    if device == "cuda" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("torch writes the caches of this card")
    facts = HeadFacts(
        num_heads=1, num_kv_heads=1, head_size=16, rotary_size=0, norm_weight_MH=None, norm_epsilon=0.0,
        interleaved=False,
    )  # fmt: skip
    qkv_TMH = torch.linspace(-600, 600, 48, device=device).view(1, 3, 16)
    float8 = torch.float8_e4m3fn
    cache = torch.zeros(2, 1, 4, 1, 16, device=device).to(float8)
    slots, angle = torch.tensor([2], device=device), torch.zeros(1, 1, 1, device=device)

    rotate_and_write(facts, qkv_TMH, angle, angle, LayerCache(*cache), slots)

    written = cache[:, 0, 2, 0].float()
    torch.testing.assert_close(written, qkv_TMH[0, 1:].clamp(-448, 448).to(float8).float())
