"""The kit of attention backends on the paged CPU backend."""

from jackfield_testing_torch.conformance.attention import AttentionKit


class TestCpuPaged(AttentionKit):
    name = "cpu_paged"
