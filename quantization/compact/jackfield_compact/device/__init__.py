"""Compact weights on cards that Triton compiles for: their order in memory, the kernels, and which one multiplies."""
