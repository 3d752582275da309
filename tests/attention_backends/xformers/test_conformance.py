"""The kit of attention backends, with a stand-in for xFormers on the host, and on an accelerator."""

import pytest

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestXformers(AttentionKit):
    name = "host_xformers"
    plugins = ("jackfield_torch.attention_backends.host_xformers=host_xformers:Xformers",)
    strength = 1


@pytest.mark.gpu
class TestXformersOnCuda(AttentionKit):
    name = "xformers"
    device = "cuda"
