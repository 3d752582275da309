"""Compact weights: what quantization schemes share, from packed bits to the linears that run."""
