"""What every attention backend must hold to: what its card claims equals attention written out in float64."""

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestAcmeOnline(AttentionKit):
    name = "acme_online"
