"""Attention over the paged cache with FlashInfer's kernels, planned once a step."""
