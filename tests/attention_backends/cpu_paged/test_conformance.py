"""The kit of attention backends on the paged CPU backend."""

from jackfield_torch.testing.conformance.attention import AttentionKit


class TestCpuPaged(AttentionKit):
    name = "cpu_paged"
