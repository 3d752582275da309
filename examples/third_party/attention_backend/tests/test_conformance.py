"""The kit that every attention backend must pass: all that its card claims equals attention in float64."""

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestAcmeOnline(AttentionKit):
    name = "acme_online"
