"""The native operations of the processor compute what torch's operations compute."""

import pytest
import torch

from jackfield_cpu import device
from jackfield_cpu.device import CpuDevice
from jackfield_cpu.fused import FusedKernels
from jackfield_cpu.kernels import CpuKernels
from jackfield_cpu.native import load_library
from jackfield_torch.interfaces.kernels import Kernels

DTYPES = [torch.float32, torch.bfloat16]

needs_compiler = pytest.mark.skipif(load_library() is None, reason="not compiled")


@pytest.fixture
def kernels():
    return FusedKernels(load_library(), num_threads=2)


def assert_alike(found, expected):
    """Equal within a few steps of the dtype."""
    eps = torch.finfo(found.dtype).eps
    torch.testing.assert_close(found, expected, rtol=4 * eps, atol=eps / 4)


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("num_tokens", [3, 400], ids=["one thread", "two threads"])
def test_a_sum_and_its_norm(kernels, dtype, num_tokens):
    x_TE, branch_TE = torch.randn(2, num_tokens, 171, dtype=dtype)
    weight_E = torch.randn(171)
    there_TE = x_TE.clone()

    found = kernels.add_rms_norm(x_TE, branch_TE, weight_E, 1e-5)

    assert_alike(found, Kernels().add_rms_norm(there_TE, branch_TE, weight_E, 1e-5))
    assert torch.equal(x_TE, there_TE)
    assert_alike(kernels.add_rms_norm(x_TE, None, weight_E, 1e-5), found)


@needs_compiler
@pytest.mark.parametrize("x_TE", [torch.randn(4, 6, 8)[:, :3], torch.randn(4, 8).half()])
def test_torch_computes_the_norm_of_other_tensors(kernels, x_TE):
    weight_E = torch.randn(8)

    found = kernels.add_rms_norm(x_TE, None, weight_E, 1e-5)

    assert torch.equal(found, Kernels().add_rms_norm(x_TE, None, weight_E, 1e-5))


@needs_compiler
def test_bfloat16_is_rounded_as_torch_rounds(kernels):
    """All pairs of a number and what is half a step of it or more, so that ties and infinities occur; and NaN."""
    bits = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).short()
    x_TE = bits.view(torch.bfloat16).reshape(256, 256)
    branch_TE = (
        x_TE.float() * torch.tensor([0.0, 2.0**-9, 3 * 2.0**-9, 1.0])[:, None, None]
    ).bfloat16()

    for branch in branch_TE:
        sum_TE = x_TE.clone()
        kernels.add_rms_norm(sum_TE, branch, torch.ones(256), 1e-5)
        assert torch.equal(
            sum_TE.nan_to_num(7.0, 8.0, 9.0), (x_TE + branch).nan_to_num(7.0, 8.0, 9.0)
        )


def test_without_a_compiler_torch_computes_and_the_device_says_so(monkeypatch):
    monkeypatch.setattr(device, "load_library", lambda: None)
    cpu = CpuDevice(1)

    assert type(cpu.kernels()) is CpuKernels
    assert cpu.details()["operations"] == "torch's: native ones were not compiled"
