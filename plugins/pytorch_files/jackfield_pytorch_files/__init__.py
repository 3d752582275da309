"""Weights in PyTorch's own files, read without PyTorch and without running their code."""
