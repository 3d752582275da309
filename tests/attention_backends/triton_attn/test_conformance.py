"""The kit of attention backends on Triton's kernels: on an accelerator, and with TRITON_INTERPRET=1 in the interpreter."""

import os

import pytest

from jackfield_testing_torch.conformance.attention import AttentionKit


@pytest.mark.gpu
class TestTritonAttnOnCuda(AttentionKit):
    name = "triton_attn"
    device = "cuda"


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="TRITON_INTERPRET is not 1")
class TestTritonAttnInterpreted(AttentionKit):
    name = "triton_attn"
    device = "cpu"
