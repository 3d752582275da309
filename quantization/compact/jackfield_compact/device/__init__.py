"""Compact weights on cards that Triton supports: their order in memory, the kernels, and the choice of a kernel."""
