"""The kit of attention backends, with a stand-in for FlashInfer on the host, and on an accelerator."""

from importlib.util import find_spec

import pytest

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestFlashInfer(AttentionKit):
    name = "host_flashinfer"
    plugins = ("jackfield_torch.attention_backends.host_flashinfer=host_flashinfer:FlashInfer",)
    strength = 1


@pytest.mark.gpu
@pytest.mark.skipif(find_spec("flashinfer") is None, reason="FlashInfer is not installed")
class TestFlashInferOnCuda(AttentionKit):
    name = "flashinfer"
    device = "cuda"
