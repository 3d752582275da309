"""Attention over the paged cache with Triton kernels, for every accelerator that Triton supports."""
