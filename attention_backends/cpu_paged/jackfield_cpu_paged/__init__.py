"""Attention of decode rows over the paged cache, in place."""
