"""FlashAttention over the paged cache, with any of its installed releases."""
