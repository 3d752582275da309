"""Kernels that were compiled on threads are those that are launched later."""

import pytest
import torch


@pytest.mark.gpu
def test_kernels_are_compiled_once_and_then_launched():
    from jackfield_torch.kernels.ahead import compile_ahead
    from jackfield_torch.kernels.norm import add_rms_norm

    x, weight = torch.ones(3, 1024, device="cuda"), torch.ones(1024, device="cuda")

    def run():
        return add_rms_norm(x, None, weight, 0.0)

    first = compile_ahead(run, 2)
    again = compile_ahead(run, 2)

    assert again == 0 <= first
    assert torch.equal(run(), x)
