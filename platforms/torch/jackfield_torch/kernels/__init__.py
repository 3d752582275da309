"""Triton kernels that CUDA and ROCm share. Importing a module of this package imports triton."""
