"""The backend holds to the kit, on the processor and on an accelerator."""

import pytest

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestTorchSdpa(AttentionKit):
    name = "torch_sdpa"


@pytest.mark.gpu
class TestTorchSdpaOnCuda(AttentionKit):
    name = "torch_sdpa"
    device = "cuda"
