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
