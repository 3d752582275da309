"""The kit of attention backends, with a stand-in for FlashInfer on the host, and on an accelerator."""

import pytest

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestFlashInfer(AttentionKit):
    name = "host_flashinfer"
    plugins = ("jackfield_torch.attention_backends.host_flashinfer=host_flashinfer:FlashInfer",)
    strength = 1


@pytest.mark.gpu
class TestFlashInferOnCuda(AttentionKit):
    name = "flashinfer"
    device = "cuda"
