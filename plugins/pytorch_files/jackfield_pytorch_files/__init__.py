"""Weights in PyTorch's own files, read without PyTorch and without running what they hold."""
