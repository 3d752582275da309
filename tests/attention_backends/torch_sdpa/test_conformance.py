from jackfield_torch.testing.conformance.attention import AttentionKit


class TestTorchSdpa(AttentionKit):
    name = "torch_sdpa"
