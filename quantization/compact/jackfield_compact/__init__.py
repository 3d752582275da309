"""Compact weights: the code that quantization schemes share, from packed bits to running linears."""
