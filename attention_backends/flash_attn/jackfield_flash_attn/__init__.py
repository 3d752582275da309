"""FlashAttention over the paged cache, with whichever of its releases is installed."""
