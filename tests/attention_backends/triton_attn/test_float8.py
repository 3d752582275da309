"""Chips that cannot convert float8 read its bytes, and the Triton kernels convert these to float16."""

import os

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton is not installed")
tl = triton.language
from jackfield_triton_attn.decode import widened  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="TRITON_INTERPRET is not 1")
    ),
]


@triton.jit
def widen(bytes_ptr, numbers_ptr):
    lane = tl.arange(0, 256)
    tl.store(numbers_ptr + lane, widened(tl.load(bytes_ptr + lane), tl.float32))


@pytest.mark.parametrize("device", DEVICES)
def test_every_byte_of_e4m3_is_widened_exactly(device):
    stored = torch.arange(256, dtype=torch.uint8, device=device)
    found = torch.empty(256, device=device)

    widen[(1,)](stored, found)

    expected = stored.cpu().view(torch.float8_e4m3fn).float()
    is_number = ~expected.isnan()  # caches hold no NaN
    assert torch.equal(found.cpu()[is_number], expected[is_number])
